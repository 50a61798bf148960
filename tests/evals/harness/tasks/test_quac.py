from typing import Any

from codepretrain.evals.harness.tasks.quac import items

ANSWERS = ["one", "two", "CANNOTANSWER", "three", "two", "four"]
DIALOG: dict[str, Any] = {
    "wikipedia_page_title": "Ada",
    "section_title": "Notes",
    "context": "one two three four CANNOTANSWER",
    "turn_ids": [f"t{n}" for n in range(6)],
    "questions": [f"q{n}?" for n in range(6)],
    "orig_answers": {"texts": ANSWERS},
}


def test_an_item_is_a_question_after_the_dialog_so_far() -> None:
    found = list(items(DIALOG))
    assert [item["id"] for item in found] == ["t0", "t1", "t3", "t4", "t5"]  # t2 has no answer
    assert found[2]["prompt"] == (
        "Title: Ada - Notes\none two three four\n"
        "Q: q0?\nA: one\nQ: q1?\nA: two\nQ: q2?\nA: No answer.\nQ: q3?\nA:"
    )
    assert all(item["context"] == "one two three four" for item in found)


def test_the_choices_are_the_answer_and_three_others_of_the_dialog() -> None:
    for item, answer in zip(items(DIALOG), ["one", "two", "three", "two", "four"], strict=True):
        assert item["choices"][item["answer"]] == answer
        assert sorted(item["choices"]) == ["four", "one", "three", "two"]


def test_the_place_of_the_answer_varies_and_is_the_same_every_time() -> None:
    ids = [f"t{n}" for n in range(400)]
    places = []
    for turn in ids:
        dialog = {**DIALOG, "turn_ids": [turn, *DIALOG["turn_ids"][1:]]}
        places.append(next(items(dialog))["answer"])
    assert all(70 < places.count(place) < 130 for place in range(4))
    assert next(items({**DIALOG, "turn_ids": ids[:6]}))["answer"] == places[0]


def test_a_dialog_of_too_few_answers_has_no_items() -> None:
    few = {
        "turn_ids": ["a", "b", "c"],
        "questions": ["?", "?", "?"],
        "orig_answers": {"texts": ["one", "two", "CANNOTANSWER"]},
    }
    assert list(items({**DIALOG, **few})) == []
