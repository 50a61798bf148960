import json
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.prompt_set import Prompt, prompts_sha256, read_prompts
from codepretrain.files.atomic import write_bytes
from tests.data.readers.reading import read as read_documents
from tests.data.readers.reading import reader

DOLLY = {
    "instruction": "Which are fruit?",
    "context": "apple, chair",
    "response": "The apple.",
    "category": "classification",
}


def write(folder: Path, *lines: Any) -> str:
    path = folder / "prompts.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return str(path)


def read(path: str, num_examples: int = 10) -> list[Prompt]:
    return read_prompts(path, option="options.prompts", num_examples=num_examples)


def test_fields_of_dolly_and_plain_prompts(tmp_path: Path) -> None:
    path = write(tmp_path, DOLLY, "", {"prompt": "Name a river.", "id": 7, "context": None})
    first, second = read(path)
    assert (first.text, first.category) == (
        "Which are fruit?\n\napple, chair\n\n",
        "classification",
    )
    assert second == Prompt("7", "Name a river.\n\n", "")
    assert read(path, num_examples=1) == [first]


def test_a_prompt_is_the_beginning_of_the_document_that_the_reader_makes_of_it(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, {**DOLLY, "instruction": " Which are\nfruit? ", "context": "a\n\n b\n"})
    (document,), _ = read_documents(reader("instruct", path=path))
    (prompt,) = read(path)
    assert document.text == prompt.text + DOLLY["response"]


def test_ids_do_not_depend_on_the_order(tmp_path: Path) -> None:
    lines = [{"prompt": f"Name {i} rivers."} for i in range(3)]
    ids = [prompt.id for prompt in read(write(tmp_path, *lines))]
    assert [prompt.id for prompt in read(write(tmp_path, *lines[::-1]))] == ids[::-1]
    assert len(set(ids)) == 3


def test_the_hash_changes_with_prompts_and_their_order() -> None:
    a, b = Prompt("a", "A", "x"), Prompt("b", "B", "x")
    others = [[a, b], [b, a], [a], [a, Prompt("b", "B", "y")], [a, Prompt("b", "C", "x")]]
    assert len({prompts_sha256(prompts) for prompts in others}) == len(others)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: expected a JSON object in UTF-8"),
        ("[1]", "line 2: expected a JSON object"),
        ("[" * 100_000, "line 2: expected a JSON object in UTF-8"),
        ({}, "expected a field 'instruction' or a field 'prompt', found neither"),
        ({"prompt": "x", "instruction": "y"}, "found instruction and prompt"),
        ({"prompt": 3}, "field 'prompt': expected text, found int"),
        ({"prompt": " \n"}, "field 'prompt' is empty"),
        ({"prompt": "x", "context": ["y"]}, "field 'context': expected text, found list"),
        ({"prompt": "x", "category": 1}, "field 'category': expected text"),
        ({"prompt": "x", "id": 1.5}, "field 'id': expected text or a whole number"),
        ('{"prompt": "\\ud800"}', "field 'prompt' has half of a surrogate pair"),
        (DOLLY, "the same prompt or id as in line 1"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path, DOLLY, line)
    with pytest.raises(UserError, match=r"options.prompts: .*prompts.jsonl line 2: ") as caught:
        read(path)
    assert message in str(caught.value)


def test_files_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"options.prompts: there is no file .*absent.jsonl"):
        read(str(tmp_path / "absent.jsonl"))
    with pytest.raises(UserError, match="contains no prompt"):
        read(write(tmp_path, "", "  "))


def test_prompts_of_an_object_store(monkeypatch: pytest.MonkeyPatch, memory: epath.Path) -> None:
    monkeypatch.setattr("codepretrain.evals.prompt_set.parse", lambda path, name: epath.Path(path))
    write_bytes(memory / "prompts.jsonl", json.dumps(DOLLY).encode())
    (prompt,) = read(str(memory / "prompts.jsonl"))
    assert prompt.category == "classification"
