import random
import socket
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.harness.data_folder import write_manifest
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.harness.load_tasks import check_data, load_tasks, members
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.harness.render import items_digest, prompts_digest, render
from codepretrain.evals.harness.suite import CATEGORIES, TASKS
from codepretrain.evals.harness.task_index import manager_of
from tests.evals.harness.conftest import place
from tests.fixtures.hub import BOOLQ

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def options(task_data: Path, tasks: str, **more: Any) -> HarnessOptions:
    return HarnessOptions(tasks=tasks, data=str(task_data), **more)


def test_the_suite_names_tasks_that_the_harness_has() -> None:
    assert {task for tasks in CATEGORIES.values() for task in tasks} == set(TASKS)
    manager = manager_of(list(TASKS), "", path="p")
    chosen = HarnessOptions(tasks="world_knowledge,reasoning")
    assert members(manager, chosen) == [
        (category, task) for category, tasks in CATEGORIES.items() for task in tasks
    ]
    for task in TASKS:
        assert manager.task_index[task].cfg["dataset_path"]


def test_a_tag_of_the_harness_is_all_of_its_tasks() -> None:
    """The index of the suite's folders has some tasks of the tag only."""
    chosen = HarnessOptions(tasks="super-glue-lm-eval-v1")
    found = members(manager_of(["super-glue-lm-eval-v1"], "", path="p"), chosen)
    assert {category for category, _ in found} == {"super-glue-lm-eval-v1"}
    assert {"boolq", "cb", "copa", "multirc", "record", "sglue_rte", "wic", "wsc"} == {
        task for _, task in found
    }


def test_a_task_that_is_named_twice_is_in_its_first_category() -> None:
    chosen = HarnessOptions(tasks="world_knowledge,boolq,triviaqa,reasoning")
    found = members(manager_of(list(TASKS), "", path="p"), chosen)
    assert found[:3] == [
        ("world_knowledge", "triviaqa"),
        ("world_knowledge", "nq_open"),
        ("tasks", "boolq"),
    ]
    assert len(found) == len(TASKS)


def test_items_are_rendered_with_their_passages(task_data: Path) -> None:
    (loaded,) = load_tasks(options(task_data, "boolq"), path="p")
    rendered = render(loaded, num_examples=100)
    assert [item.id for item in rendered.items] == [f"boolq/{n}" for n in range(6)]
    first, second, third = rendered.items[:3]
    assert first.cluster == second.cluster != third.cluster
    assert first.instances[1].args == (
        "Passage 0 is about rivers.\nQuestion: is 0 even?\nAnswer:",
        " yes",
    )
    assert (first.choices, first.answers) == (["no", "yes"], [0])
    assert second.answers == [1]


def test_fewer_items_are_among_more(task_data: Path) -> None:
    (loaded,) = load_tasks(options(task_data, "boolq"), path="p")
    chosen = [{item.id for item in render(loaded, num_examples=n).items} for n in (2, 4, 6)]
    assert [len(ids) for ids in chosen] == [2, 4, 6]
    assert chosen[0] < chosen[1] < chosen[2]


def test_examples_in_the_prompt(task_data: Path) -> None:
    (loaded,) = load_tasks(options(task_data, "boolq", num_fewshot=2), path="p")
    prompts = [item.instances[0].args[0] for item in render(loaded, num_examples=6).items]
    assert all(prompt.count("Question:") == 3 for prompt in prompts)
    (again,) = load_tasks(options(task_data, "boolq", num_fewshot=2), path="p")
    assert prompts == [item.instances[0].args[0] for item in render(again, num_examples=6).items]


def test_digests_change_with_items_and_prompts(task_data: Path) -> None:
    (loaded,) = load_tasks(options(task_data, "boolq"), path="p")
    rendered, fewer = render(loaded, num_examples=6), render(loaded, num_examples=5)
    (shots,) = load_tasks(options(task_data, "boolq", num_fewshot=1), path="p")
    examples = render(shots, num_examples=6)
    assert items_digest([rendered]) == items_digest([examples]) != items_digest([fewer])
    assert prompts_digest([rendered]) != prompts_digest([examples])
    place(task_data, "other", {"validation": BOOLQ})
    path = task_data / "aps--super_glue--boolq" / "validation.jsonl"
    path.write_text(path.read_text().replace('"label": 1', '"label": 0', 1))
    (changed,) = load_tasks(options(task_data, "boolq"), path="p")
    again = render(changed, num_examples=6)
    assert items_digest([again]) != items_digest([rendered])
    assert prompts_digest([again]) == prompts_digest([rendered])  # the same is asked


def test_random_numbers_of_the_process_are_left_alone(task_data: Path) -> None:
    (loaded,) = load_tasks(options(task_data, "boolq"), path="p")
    random.seed(7)
    expected = random.random()
    random.seed(7)
    render(loaded, num_examples=6)
    assert random.random() == expected


def test_how_to_fetch_the_data_is_told_once(task_data: Path, tmp_path: Path) -> None:
    place = task_data / "aps--super_glue--boolq"
    manifest = {"path": "aps/super_glue", "name": "boolq", "options": {}}
    file = {"file": f"{place.name}/train.parquet", "bytes": 7, "sha256": ""}
    key = DatasetReference("aps/super_glue", "boolq").key
    write_manifest(task_data, {key: {**manifest, "splits": {"train": file}}})
    for folder, expected in (
        (tmp_path / "none", f"no task can be evaluated: there is no folder {tmp_path}/none with"),
        (task_data, f"1 task cannot be evaluated: boolq: {place}/train.parquet is missing, exp"),
    ):
        for check in (check_data, load_tasks):
            with pytest.raises(UserError) as raised:
                check(options(folder, "boolq"), path="config.evals.suite")
            assert str(raised.value).startswith(f"config.evals.suite: {expected}")
            assert str(raised.value).lower().count("fetch ") == 1


def test_all_missing_data_is_named_at_once(task_data: Path) -> None:
    chosen = options(task_data, "reasoning,triviaqa,boolq")
    for check in (check_data, load_tasks):
        with pytest.raises(UserError) as raised:
            check(chosen, path="config.evals.suite")
        message = str(raised.value)
        assert message.startswith("config.evals.suite: 10 tasks cannot be evaluated: ")
        for task in CATEGORIES["reasoning"]:
            assert (f" {task}: no data of" in message) == (task != "boolq"), task
        assert f"--download {task_data}" in message
        assert "triviaqa" not in message


def test_a_split_that_the_data_lacks_is_named(task_data: Path) -> None:
    """The harness reads the training data of a task even without examples in the prompt."""
    (task_data / "aps--super_glue--boolq" / "train.jsonl").unlink()
    expected = (
        r"the data of aps/super_glue \(boolq\), in its folder aps--super_glue--boolq, has no split "
        "'train', found validation"
    )
    with pytest.raises(UserError, match=expected):
        load_tasks(options(task_data, "boolq,triviaqa"), path="x")


def test_a_split_that_a_task_of_the_user_lacks_is_named(own_tasks: Path) -> None:
    task = own_tasks / "pages.yaml"
    task.write_text(task.read_text().replace("test_split: test", "test_split: tset"))
    with pytest.raises(UserError, match=r"pages.jsonl'} has no split 'tset', found test"):
        load_tasks(HarnessOptions(tasks="pages", include_path=str(own_tasks)), path="x")


def test_data_that_is_there_is_not_read_to_check_it(task_data: Path) -> None:
    for path in task_data.rglob("*.jsonl"):
        path.write_text("not JSON")
    check_data(options(task_data, "boolq,triviaqa"), path="p")
    with pytest.raises(UserError, match=r"train\.jsonl is damaged"):
        load_tasks(options(task_data, "boolq"), path="p")


def test_no_data_option_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"boolq: no data of .* the option `data` is not set"):
        check_data(HarnessOptions(tasks="boolq"), path="p")
    with pytest.raises(UserError, match="there is no folder"):
        check_data(HarnessOptions(tasks="boolq", data=str(tmp_path / "none")), path="p")


def test_tasks_of_the_users_folder(own_tasks: Path) -> None:
    chosen = HarnessOptions(tasks="pages,capitals", include_path=str(own_tasks))
    check_data(chosen, path="p")
    pages, capitals = load_tasks(chosen, path="p")
    assert render(pages, num_examples=2).kind == "loglikelihood_rolling"
    item = render(capitals, num_examples=1).items[0]
    assert item.instances[0].args[1] == {"until": ["\n", "."], "max_gen_toks": 8}
    (own_tasks / "capitals.jsonl").unlink()
    with pytest.raises(UserError, match=r"capitals: cannot read .*capitals\.jsonl"):
        load_tasks(chosen, path="p")


def test_data_in_the_authors_own_files(task_data: Path) -> None:
    from tests.evals.harness.test_original_formats import STORIES

    folder = task_data / "LSDSem--story_cloze--2016"
    folder.mkdir()
    for part in ("val", "test"):
        (folder / f"cloze_test_{part}__spring2016.csv").write_text(STORIES)
    (loaded,) = load_tasks(options(task_data, "storycloze_2016"), path="p")
    (item,) = render(loaded, num_examples=9).items
    assert item.instances[0].args == (
        "Rick, a boy, grew up. He ran. He hid. He came back.",
        " He is glad.",
    )
    assert item.answers == [0]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tasks": "boolk"}, "config.evals.x.options.tasks: there is no task or group 'boolk'"),
        ({"tasks": "boolq", "include_path": "/none"}, "include_path: there is no folder '/none'"),
        ({"tasks": "boolq,triviaqa", "excluded": "piqa"}, "excluded: piqa is not evaluated"),
        ({"tasks": "boolq", "excluded": "boolq"}, "every task is excluded"),
    ],
)
def test_mistakes_in_the_options(task_data: Path, chosen: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_tasks(options(task_data, **chosen), path="config.evals.x")


def test_a_task_that_runs_programs_is_refused(task_data: Path, own_tasks: Path) -> None:
    text = (own_tasks / "capitals.yaml").read_text()
    (own_tasks / "capitals.yaml").write_text(text + "unsafe_code: true\n")
    chosen = HarnessOptions(tasks="capitals", include_path=str(own_tasks))
    with pytest.raises(UserError, match="runs generated programs in this process"):
        load_tasks(chosen, path="p")


def test_a_document_that_cannot_be_rendered_is_named(own_tasks: Path) -> None:
    chosen = HarnessOptions(tasks="capitals", include_path=str(own_tasks))
    (loaded,) = load_tasks(chosen, path="p")

    def fail(document: Any) -> str:
        raise KeyError("capital")

    task: Any = loaded.task
    task.config.doc_to_text = fail
    with pytest.raises(UserError, match="task capitals cannot render its document 0: KeyError"):
        render(loaded, num_examples=1)
