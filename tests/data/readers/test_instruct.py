import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.readers.instruct import EXCLUDED
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader

DOLLY = [
    {
        "instruction": "When did it begin?",
        "context": "It began in 1999.\n",
        "response": "In 1999.",
        "category": "closed_qa",
    },
    {"instruction": "Name a color.", "context": "", "response": "Red", "category": "open_qa"},
]


def write(path: Path, values: list) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def test_dolly(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", DOLLY)
    pq.write_table(pa.Table.from_pylist(DOLLY), tmp_path / "b.parquet")
    made = reader("instruct", path=f"{tmp_path}/*", language="en", license="CC-BY-SA-3.0")
    documents, skipped = read(made)
    assert not skipped
    texts = ["When did it begin?\n\nIt began in 1999.\n\nIn 1999.", "Name a color.\n\nRed"]
    assert [d.text for d in documents] == texts * 2
    assert [d.group for d in documents[:2]] == [d.group for d in documents[2:]]
    assert documents[0].group != documents[1].group
    assert (documents[0].language, documents[0].license) == ("en", "CC-BY-SA-3.0")
    assert documents[2].id == "b.parquet:1"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("out.txt", "name  A\tcolor.\n\n"),
        ("out.jsonl", '"ＮAME a color."\n'),
        ("out.json", json.dumps({"instruction": "Name a\ncolor.", "context": "x"})),
    ],
)
def test_excluded_prompts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/a.jsonl", DOLLY)
    (tmp_path / name).write_text(content)
    made = reader("instruct", path=f"{tmp_path}/raw/*", excluded_prompts=str(tmp_path / name))
    documents, skipped = read(made)
    assert len(documents) == 1
    assert [(s.origin, s.reason) for s in skipped] == [(f"{tmp_path}/raw/a.jsonl:2", EXCLUDED)]


def test_mathematics_and_conversations(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"question": "1 + 1?", "answer": "2"}])
    options = {"prompt_fields": "question", "response_field": "answer"}
    [document] = read(reader("instruct", path=f"{tmp_path}/a.jsonl", **options))[0]
    assert document.text == "1 + 1?\n\n2"
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
    ]
    pq.write_table(pa.Table.from_pylist([{"messages": messages}]), tmp_path / "b.parquet")
    made = reader("instruct", path=f"{tmp_path}/b.parquet", messages_field="messages")
    [conversation] = read(made)[0]
    assert conversation.text == "Be short.\n\n1 + 1?\n\n2"
    assert conversation.group == document.group


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"response": "x"}, "no field 'instruction'"),
        ({"instruction": "x"}, "no field 'response'"),
        ({"instruction": "x", "response": None}, "field 'response' is not text"),
        ({"instruction": " ", "response": "x"}, "empty prompt or answer"),
    ],
)
def test_records_that_are_no_instructions(tmp_path: Path, value: dict, reason: str) -> None:
    write(tmp_path / "a.jsonl", [*DOLLY, value])
    _, skipped = read(reader("instruct", path=f"{tmp_path}/*"))
    assert [s.reason for s in skipped] == [reason]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_fields": "question"}, r"'question', nor .* set the option prompt_fields$"),
        ({"prompt_fields": "instruction, contxt"}, r"'contxt', nor .* option prompt_fields$"),
        ({"response_field": "answer"}, r"'answer', nor .*instruction, response; set .*response_f"),
        ({"messages_field": "turns"}, r"'turns', nor .* set the option messages_field$"),
    ],
)
def test_misspelled_fields_are_refused_before_anything_is_read(
    tmp_path: Path, options: dict, message: str
) -> None:
    write(tmp_path / "a.jsonl", DOLLY)
    with pytest.raises(UserError, match=rf"'instruct': .*/a.jsonl line 1 has no field {message}"):
        reader("instruct", path=f"{tmp_path}/*", **options).shards()


def test_instructions_need_no_context(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"instruction": "Name a color.", "response": "Red"}])
    [document] = read(reader("instruct", path=f"{tmp_path}/*"))[0]
    assert document.text == "Name a color.\n\nRed"


def test_a_record_without_the_messages(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    write(tmp_path / "a.jsonl", [{"messages": said}, {"id": 1}])
    _, skipped = read(reader("instruct", path=f"{tmp_path}/*", messages_field="messages"))
    assert [s.reason for s in skipped] == ["no field 'messages'"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "field 'messages' is not a list"),
        (["x"], "a message without role or content"),
        ([{"role": "user"}], "a message without role or content"),
        ([{"role": "user", "content": "x"}], "empty prompt or answer"),
        ([{"role": "assistant", "content": "x"}], "empty prompt or answer"),
        ([{"role": "user", "content": [{"type": "text"}]}], "a message that is not text"),
        ([{"role": "user", "content": 7}], "a message that is not text"),
    ],
)
def test_records_that_are_no_conversations(tmp_path: Path, messages: object, reason: str) -> None:
    write(tmp_path / "a.jsonl", [{"messages": messages}])
    _, skipped = read(reader("instruct", path=f"{tmp_path}/*", messages_field="messages"))
    assert [s.reason for s in skipped] == [reason]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b" \n", "contains no prompt"),
        ("a.txt", b"ok\n\xff", "a.txt:2: expected a text$"),
        ("a.jsonl", b"{}", "a.jsonl:1: expected a text, or an object with the field 'instruction'"),
        ("a.jsonl", b'"x"\nx', "a.jsonl:2: expected a text, or"),
        ("absent/a", None, "there is no file"),
    ],
)
def test_a_list_of_prompts_that_cannot_be_read_is_an_error(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    (tmp_path / "raw.jsonl").touch()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    made = reader("instruct", path=f"{tmp_path}/raw.jsonl", excluded_prompts=f"{tmp_path}/{name}")
    with pytest.raises(UserError, match=message):
        made.shards()


def test_the_list_of_prompts_is_a_raw_file_of_every_shard(tmp_path: Path) -> None:
    """It decides what is read: a list that was altered makes other documents."""
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/a.jsonl", DOLLY)
    excluded = tmp_path / "out.txt"
    excluded.write_text("Name a color.")
    made = reader("instruct", path=f"{tmp_path}/raw/*", excluded_prompts=str(excluded))
    [shard] = made.shards()
    assert made.files(shard) == [
        RawFile(f"{tmp_path}/raw/a.jsonl", "a.jsonl"),
        RawFile(str(excluded), "excluded_prompts/out.txt"),
    ]
    assert [d.id for d in read(made)[0]] == ["a.jsonl:1"]
    excluded.write_text("When did it begin?")
    assert [d.id for d in read(made)[0]] == ["a.jsonl:2"]


def test_a_missing_list_of_excluded_prompts_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "raw.jsonl").write_text("{}\n")
    made = reader("instruct", path=f"{tmp_path}/raw.jsonl", excluded_prompts=f"{tmp_path}/no")
    with pytest.raises(UserError, match=r"'instruct': excluded_prompts: there is no file .*/no"):
        made.shards()


def test_an_excluded_prompt_later_in_a_conversation(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Name a color."},
        {"role": "assistant", "content": "Red"},
    ]
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/a.jsonl", [{"messages": messages}, {"messages": messages[:2]}])
    (tmp_path / "out.txt").write_text("name a color.")
    options = {"messages_field": "messages", "excluded_prompts": f"{tmp_path}/out.txt"}
    documents, skipped = read(reader("instruct", path=f"{tmp_path}/raw/*", **options))
    assert [d.text for d in documents] == ["Hello\n\nHello!"]
    assert [s.reason for s in skipped] == [EXCLUDED]
