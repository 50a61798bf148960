import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.eval_items import KINDS
from codepretrain.errors import UserError
from codepretrain.evals import multiple_choice, python_expression
from codepretrain.evals.multiple_choice import MultipleChoiceItem
from codepretrain.evals.python_expression import ExpressionItem
from codepretrain.evals.task_items import load_items

GOOD = {
    "id": "q",
    "context": [1, 5],
    "choices": [[3], [4, 5]],
    "answer": 1,
    "choice_bytes": [1, 2],
}


def write(directory: Path, lines: list[Any]) -> None:
    (directory / "evals").mkdir()
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    (directory / "evals" / "t.jsonl").write_bytes(data)
    manifest = {"t": {"sha256": hashlib.sha256(data).hexdigest()}}
    (directory / "evals" / "manifest.json").write_text(json.dumps(manifest))


def load(directory: Path, num_examples: int = 9) -> list[MultipleChoiceItem]:
    return load_items(directory, "t", MultipleChoiceItem, num_examples=num_examples, vocab_size=10)


def test_the_tasks_are_those_that_are_prepared() -> None:
    assert {*multiple_choice.TASKS, *python_expression.TASKS} == set(KINDS)


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


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [GOOD])
    path = tmp_path / "evals" / "t.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"answer": 1', b'"answer": 0'))
    with pytest.raises(UserError, match=r"damaged task items .*t.jsonl: .*its sha256 differs"):
        load(tmp_path)


@pytest.mark.parametrize("line", ["3", "[]", "null"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, [json.loads(line)])
    with pytest.raises(UserError, match=r"t.jsonl: expected a JSON object a line, found"):
        load(tmp_path)


@pytest.mark.parametrize("manifest", ["[]", "null", "{}", "{"])
def test_a_damaged_manifest_is_named(tmp_path: Path, manifest: str) -> None:
    write(tmp_path, [GOOD])
    (tmp_path / "evals" / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match=r"(manifest|t)\.json.* run `codepretrain prepare` again"):
        load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, [GOOD])
    (tmp_path / "evals" / "t.jsonl").unlink()
    with pytest.raises(UserError, match=r"there is no file .*t\.jsonl"):
        load(tmp_path)
