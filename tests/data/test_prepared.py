"""Everything that was prepared belongs together, and is told with its counts."""

import dataclasses
import io
from pathlib import Path

import pytest
from etils import epath
from rich.console import Console

from codepretrain.data.document import Document
from codepretrain.data.prepared import load_prepared, summary, verify_prepared
from codepretrain.data.reading.documents import open_documents
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import remove_tree
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.vocabulary import load_vocabulary


@pytest.fixture
def copied(prepared_data, tmp_path) -> Path:
    return prepared_data.copy(tmp_path / "data")


def test_counts_agree_with_each_other(prepared_data) -> None:
    prepared = load_prepared(prepared_data.config, prepared_data.data_dir)
    for (source, split), rows in prepared.rows.items():
        assert rows.num_documents == prepared.selection.num_documents[source][split]
        assert rows.num_bytes == prepared.selection.num_bytes[source][split]
        assert rows.tokenizer_hash == prepared.tokenizer_hash
    for source, documents in prepared.documents.items():
        assert documents.num_documents == sum(prepared.selection.num_documents[source].values())
        assert documents.num_bytes == sum(prepared.selection.num_bytes[source].values())
    assert prepared.vocab_size == len(load_vocabulary(prepared_data.data_dir))
    assert verify_prepared(prepared_data.config, prepared_data.data_dir) == prepared


def test_data_in_an_object_store_is_verified(prepared_data, memory: epath.Path) -> None:
    """Rows of the right size with one other byte: opening does not read them."""
    pools, data_dir = prepared_data.data_dir.parent, memory / "study"
    for path in pools.rglob("*"):
        if path.is_file():
            write_bytes(memory / path.relative_to(pools), path.read_bytes())
    lines: list[str] = []
    verified = verify_prepared(prepared_data.config, data_dir, announce=lines.append)
    assert verified == prepared_data.data or verified.rows == prepared_data.data.rows
    assert len(lines) == len({*lines}) == 4 + 3 * len(prepared_data.config.data.sources)
    rows = rows_directory(data_dir, "text", "train") / "part-00000/rows.records"
    contents = bytearray(storage.read_bytes(rows))
    contents[100] ^= 1
    write_bytes(rows, bytes(contents))
    load_prepared(prepared_data.config, data_dir)
    with pytest.raises(
        UserError, match=r"damaged .*/text-train-\w+: part-0.*/rows.records was alt"
    ):
        verify_prepared(prepared_data.config, data_dir)


def test_every_damaged_folder_is_named(prepared_data, copied: Path) -> None:
    """One after the other would need one run of hours each."""
    documents = open_documents(copied, "code")
    part = Path(documents.part_folder(documents.manifest.parts[0]))
    (part / "documents.arrayrecord").unlink()
    rows = rows_directory(copied, "text", "validation")
    (rows / "files.json").unlink()
    (copied / "tokenizer/tokenizer.json").write_text("{}")
    with pytest.raises(UserError) as error:
        verify_prepared(prepared_data.config, copied)
    message = str(error.value)
    assert message.startswith(f"3 folders of {copied} are damaged: ")
    assert f"{part}: documents.arrayrecord is missing; delete" in message
    assert f"no prepared rows at {rows}: run" in message
    assert f"{copied}/tokenizer: tokenizer.json has 2 bytes, expected" in message


def test_a_folder_without_data_is_told_from_damaged_data(prepared_data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prepared data of this study at .*/no: run `codepr"):
        verify_prepared(prepared_data.config, tmp_path / "no")


def test_the_summary_warns_of_sources_that_hold_nothing_out(prepared_data) -> None:
    rows = dict(prepared_data.data.rows)
    rows["text", "validation"] = dataclasses.replace(rows["text", "validation"], num_rows=0)
    warning = "warning: no held-out rows of text: too few documents, or groups larger than"
    for prepared in (prepared_data.data, dataclasses.replace(prepared_data.data, rows=rows)):
        printed = io.StringIO()
        Console(width=200, file=printed).print(summary(prepared))
        assert (warning in printed.getvalue()) == (prepared is not prepared_data.data)


def test_the_summary_says_what_was_skipped_and_where(prepared_data) -> None:
    documents = dict(prepared_data.data.documents)
    documents["text"] = dataclasses.replace(
        documents["text"],
        skipped={"not JSON": 1234, "commit removes the file": 1},
        skipped_examples={"not JSON": "a.jsonl:7", "commit removes the file": "b"},
        was_capped=True,
    )
    prepared = dataclasses.replace(prepared_data.data, documents=documents)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(prepared))
    console.file.close()
    text = console.export_text()
    skipped = "1,234 (not JSON; the first: a.jsonl:7), 1 (commit removes the file; the first: b)"
    assert f"text: skipped {skipped}\n" in text
    assert "text: reading stopped at config.data.sources.text.options.max_bytes; there is" in text
    assert "code: reading stopped" not in text
    assert f"{prepared.num_items['code_continuation']} code_continuation" in text
    assert prepared.num_items["controlled_story"] == 0
    assert "controlled_story" not in text


def test_the_summary_holds_file_names_as_they_are(prepared_data) -> None:
    """Brackets are no markup, and a path is in one line however narrow the terminal is."""
    name = "/data/app/[slug]/" + 12 * "long/" + "bad[/b].txt"
    documents = dict(prepared_data.data.documents)
    documents["text"] = dataclasses.replace(
        documents["text"],
        skipped={"not UTF-8": 1},
        skipped_examples={"not UTF-8": name + "\x1b[2J"},
    )
    prepared = dataclasses.replace(prepared_data.data, documents=documents)
    printed = io.StringIO()
    Console(width=60, file=printed).print(summary(prepared), crop=False)
    assert f"text: skipped 1 (not UTF-8; the first: {name}\\x1b[2J)\n" in printed.getvalue()


def test_documents_read_anew_do_not_match_the_rows(
    prepared_data, copied, quiet, monkeypatch
) -> None:
    """The corpus changed: other documents under the same settings."""
    from codepretrain.data import prepare as prepare_module
    from codepretrain.data.readers.json_lines import JsonLines

    def read(self, shard, source):
        for number in range(50):
            text = f"another text, number {number}"
            yield Document(id=str(number), text=text, source=source, origin="o")

    directory = open_documents(copied, "text").folder
    remove_tree(directory)
    monkeypatch.setattr(JsonLines, "read", read)
    message = rf"selection was not made from the documents in {directory}: delete"
    with pytest.raises(UserError, match=message):
        prepare_module.prepare(prepared_data.config, copied, num_workers=1, console=quiet)
