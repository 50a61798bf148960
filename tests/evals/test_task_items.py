import dataclasses
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.items.eval_items import TASKS, write_items
from codepretrain.errors import UserError
from codepretrain.evals import multiple_choice, python_expression
from codepretrain.evals.multiple_choice import MultipleChoiceItem
from codepretrain.evals.python_expression import ExpressionItem
from codepretrain.evals.task_items import items_digest, load_items
from codepretrain.rows.eval_items import ItemsManifest, items_directory

GOOD = {
    "id": "q",
    "document": "d",
    "context": [1, 5],
    "choices": [[3], [4, 5]],
    "answer": 1,
    "choice_bytes": [1, 2],
}


def write(directory: Path, lines: list[Any]) -> None:
    manifest = ItemsManifest(
        format_version=2,
        settings_hash="s",
        tokenizer_hash="t",
        vocabulary_hash="v",
        documents_hashes={},
        num_items={"t": len(lines)},
    )
    write_items(items_directory(directory), {"t": lines}, manifest)


def load(directory: Path, num_examples: int = 9) -> list[MultipleChoiceItem]:
    return load_items(directory, "t", MultipleChoiceItem, num_examples=num_examples, vocab_size=10)


def test_the_tasks_are_those_that_are_prepared() -> None:
    assert {*multiple_choice.TASKS, *python_expression.TASKS} == set(TASKS)


def test_the_first_items_are_taken(tmp_path: Path) -> None:
    write(tmp_path, [{**GOOD, "id": f"q{i}"} for i in range(5)])
    assert [item.id for item in load(tmp_path, 3)] == ["q0", "q1", "q2"]
    assert len(load(tmp_path, 100)) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": 2}, "item q: answer 2 is out of range for 2 choices"),
        ({"choices": [[3]], "choice_bytes": [1]}, "item q: expected two choices or more"),
        ({"choice_bytes": [1]}, "item q: expected two choices or more"),
        ({"choices": [[3], []]}, "item q: has an empty choice"),
        ({"choice_bytes": [0, 2]}, "item q: has an empty choice"),
        ({"context": [10]}, r"item q: a token id is not in \[0, 10\)"),
        ({"context": ["a"]}, r"item q: a token id is not in \[0, 10\)"),
    ],
)
def test_a_damaged_item_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path, [GOOD | changes])
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_items_of_another_kind_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [GOOD])
    with pytest.raises(UserError, match="no ExpressionItem: prompt, expression_prefix, expected"):
        load_items(tmp_path, "t", ExpressionItem, num_examples=1, vocab_size=10)


def test_the_digest_of_items_has_every_field_and_their_order(tmp_path: Path) -> None:
    write(tmp_path, [{**GOOD, "id": "a"}, {**GOOD, "id": "b"}])
    first, second = load(tmp_path)
    digests = {
        items_digest([first, second]),
        items_digest([second, first]),
        items_digest([first]),
        *(
            items_digest([dataclasses.replace(first, **change), second])
            for change in ({"id": "c"}, {"document": "e"}, {"context": [1]}, {"answer": 0})
        ),
    }
    assert len(digests) == 7
    assert items_digest(load(tmp_path)) == items_digest([first, second])


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [GOOD])
    path = tmp_path / "evals" / "t.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"answer": 1', b'"answer": 0'))
    with pytest.raises(UserError, match=r"damaged .*evals: t.jsonl was altered"):
        load(tmp_path)
