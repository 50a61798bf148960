"""Every task of the suite, from a row with the fields that its dataset has on the hub."""

from pathlib import Path
from typing import Any

import pytest

from codepretrain.evals.harness.load_tasks import load_tasks
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.harness.render import render
from codepretrain.evals.harness.suite import TASKS
from tests.evals.harness.conftest import place
from tests.evals.harness.tasks.test_quac import DIALOG

pytestmark = pytest.mark.filterwarnings("default")

# Task → (dataset, subset, evaluated split, row, the prompts and continuations, right choices).
Case = tuple[str, str | None, str, dict[str, Any], list[tuple[str, str]], list[int]]
CASES: dict[str, Case] = {
    "boolq": (
        "aps/super_glue",
        "boolq",
        "validation",
        {"passage": "Ants dig.", "question": "do ants dig", "idx": 0, "label": 1},
        [("Ants dig.\nQuestion: do ants dig?\nAnswer:", f" {a}") for a in ("no", "yes")],
        [1],
    ),
    "cb": (
        "aps/super_glue",
        "cb",
        "validation",
        {"premise": "It rains.", "hypothesis": "It is wet", "idx": 0, "label": 2},
        [
            ("It rains.\nQuestion: It is wet. True, False, or Neither?\nAnswer:", f" {a}")
            for a in ("True", "False", "Neither")
        ],
        [2],
    ),
    "copa": (
        "aps/super_glue",
        "copa",
        "validation",
        {
            "premise": "The sun rose.",
            "choice1": "It got light.",
            "choice2": "It got dark.",
            "question": "effect",
            "idx": 0,
            "label": 0,
        },
        [("The sun rose therefore", f"  it got {a}.") for a in ("light", "dark")],
        [0],
    ),
    "piqa": (
        "baber/piqa",
        None,
        "validation",
        {"goal": "Open a jar", "sol1": "Turn the lid.", "sol2": "Break it.", "label": 0},
        [("Question: Open a jar\nAnswer:", f" {a}") for a in ("Turn the lid.", "Break it.")],
        [0],
    ),
    "sciq": (
        "allenai/sciq",
        None,
        "test",
        {
            "question": "What falls?",
            "distractor1": "fire",
            "distractor2": "air",
            "distractor3": "smoke",
            "correct_answer": "rain",
            "support": " Rain falls.",
        },
        [
            ("Rain falls.\nQuestion: What falls?\nAnswer:", f" {a}")
            for a in ("fire", "air", "smoke", "rain")
        ],
        [3],
    ),
    "social_iqa": (
        "lighteval/siqa",
        None,
        "validation",
        {
            "context": "Ann fell.",
            "question": "What next?",
            "answerA": "laugh",
            "answerB": "get up",
            "answerC": "sleep",
            "label": "2",
        },
        [("Q: Ann fell. What next?\nA:", f" {a}") for a in ("laugh", "get up", "sleep")],
        [1],
    ),
    "storycloze_2016": (
        "LSDSem/story_cloze",
        "2016",
        "test",
        {
            "story_id": "s",
            **{f"input_sentence_{n}": f"Part {n}." for n in range(1, 5)},
            "sentence_quiz1": "Bad.",
            "sentence_quiz2": "Good.",
            "answer_right_ending": 2,
        },
        [("Part 1. Part 2. Part 3. Part 4.", f" {a}") for a in ("Bad.", "Good.")],
        [1],
    ),
    "hellaswag": (
        "Rowan/hellaswag",
        None,
        "validation",
        {
            "ind": 1,
            "activity_label": "Roof repair",
            "ctx_a": "A man sits.",
            "ctx_b": "he",
            "ctx": "A man sits. he",
            "endings": ["waves.", "[x] runs.", "sings.", "eats."],
            "source_id": "v1",
            "split": "val",
            "split_type": "indomain",
            "label": "3",
        },
        [("Roof repair: A man sits. He", f" {a}") for a in ("waves.", " runs.", "sings.", "eats.")],
        [3],
    ),
    "winogrande": (
        "allenai/winogrande",
        "winogrande_xl",
        "validation",
        {
            "sentence": "Ann thanked Bea, so _ was glad.",
            "option1": "Ann",
            "option2": "Bea",
            "answer": "2",
        },
        [(f"Ann thanked Bea, so {a}", " was glad.") for a in ("Ann", "Bea")],
        [1],
    ),
    "arc_easy": (
        "allenai/ai2_arc",
        "ARC-Easy",
        "test",
        {
            "id": "M_1",
            "question": "What is cold?",
            "choices": {"text": ["fire", "ice", "tea"], "label": ["A", "B", "C"]},
            "answerKey": "B",
        },
        [("Question: What is cold?\nAnswer:", f" {a}") for a in ("fire", "ice", "tea")],
        [1],
    ),
    "triviaqa": (
        "mandarjoshi/trivia_qa",
        "rc.nocontext",
        "validation",
        {
            "question": "Who wrote Emma",
            "question_id": "q",
            "answer": {"aliases": ["Austen"], "value": "Austen"},
        },
        [("Question: Who wrote Emma?\nAnswer:", "")],
        [],
    ),
    "nq_open": (
        "google-research-datasets/nq_open",
        None,
        "validation",
        {"question": "who wrote emma", "answer": ["Jane Austen"]},
        [("Answer these questions:\n\nQ: who wrote emma?\nA:", "")],
        [],
    ),
}


def test_every_task_has_a_case() -> None:
    assert CASES.keys() | {"quac"} == TASKS.keys()


@pytest.mark.parametrize("task", CASES)
def test_requests_of_a_row(task: str, tmp_path: Path) -> None:
    path, name, split, row, expected, answers = CASES[task]
    splits = {other: [row] for other in ("train", "validation", "test", split)}
    place(tmp_path, path, splits, name)
    (loaded,) = load_tasks(HarnessOptions(tasks=task, data=str(tmp_path)), path="p")
    (item,) = render(loaded, num_examples=10).items
    if answers:
        assert [request.args for request in item.instances] == expected
        assert list(item.answers) == answers
    else:
        ((prompt, settings),) = [request.args for request in item.instances]
        assert prompt == expected[0][0]
        assert settings["until"] == ["\n", ".", ","]
    cluster = TASKS[task].cluster
    assert (item.cluster == item.id) == (cluster is None)
    assert cluster is None or cluster in row


def test_requests_of_a_dialog(tmp_path: Path) -> None:
    place(tmp_path, "allenai/quac", {"train": [DIALOG], "validation": [DIALOG]})
    (loaded,) = load_tasks(HarnessOptions(tasks="quac", data=str(tmp_path)), path="p")
    items = render(loaded, num_examples=9).items
    assert len(items) == 5
    assert len({item.cluster for item in items}) == 1
    assert items[0].instances[items[0].answers[0]].args[1] == " one"
