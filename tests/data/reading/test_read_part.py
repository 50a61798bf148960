"""A part is read, cut by the reader's limits, filtered and counted."""

import pickle
from pathlib import Path

import pytest

from codepretrain.config.schema import FilterConfig
from codepretrain.data.filters import make_filters
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.readers.folder import Folder
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.reading.documents_manifest import DocumentsManifest
from codepretrain.data.reading.inventory import Inventory
from codepretrain.data.reading.read_part import ReadTask, read_part
from codepretrain.errors import UserError
from tests.fixtures.documents import Given, read, texts


def kept(data_dir: Path) -> list[str]:
    return [document.text for document in open_documents(data_dir, "s").read()]


def filters(*steps: FilterConfig):
    return tuple(make_filters("config.data.sources.s.filters", steps))


SHORT = FilterConfig(name="text_length", options={"min_characters": 3})
EMAILS = FilterConfig(name="emails")
HEXADECIMAL = FilterConfig(name="hexadecimal_prefix")


def adds_up(manifest: DocumentsManifest, num_read: int) -> None:
    """Everything that was read was kept, dropped or skipped; and so it is in each part."""
    report = DropReport.from_json(manifest.drop_report)
    dropped = sum(tally.documents for tally in report.dropped.values())
    assert num_read == manifest.num_documents + dropped + sum(manifest.skipped.values())
    assert report.kept[manifest.source].documents == manifest.num_documents
    assert report.read(manifest.source)[0] == manifest.num_documents + dropped
    assert sum(part.num_documents for part in manifest.parts) == manifest.num_documents
    assert sum(part.num_bytes for part in manifest.parts) == manifest.num_bytes


def test_all_that_is_left_out_is_counted_and_duplicates_stay(tmp_path) -> None:
    some = ("aa", "aa", "b", "!odd", "!odd", "c" * 9, "\ud800 lone surrogate", "né", "aa")
    reader = texts(*some, min_document_bytes=2, max_document_bytes=8)
    manifest = read(tmp_path / "study", "s", reader)
    assert kept(tmp_path / "study") == ["aa", "aa", "né", "aa"]
    assert (manifest.num_documents, manifest.num_bytes) == (4, 9)
    assert manifest.skipped == {
        "longer than max_document_bytes": 1,
        "not valid Unicode": 1,
        "odd": 2,
        "shorter than min_document_bytes": 1,
    }
    assert manifest.skipped_examples["odd"] == "3"
    assert manifest.skipped_examples.keys() == manifest.skipped.keys()
    assert not manifest.was_capped
    adds_up(manifest, 9)


def test_filters_apply_in_their_order_and_are_counted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)
    some = ("0x1f", "jane@corp-mail.net and more", "plain", "a", "0x", "!odd", "other")
    orders = {"hex first": (HEXADECIMAL, SHORT), "short first": (SHORT, HEXADECIMAL)}
    for name, steps in orders.items():
        reader = texts(*some, per_shard=2)
        data_dir = tmp_path / name / "study"
        manifest = read(data_dir, "s", reader, filters=filters(EMAILS, *steps))
        assert kept(data_dir)[1:] == ["plain", "other"]
        assert "corp-mail.net" not in kept(data_dir)[0]
        adds_up(manifest, len(some))
        report = DropReport.from_json(manifest.drop_report)
        counts = {key.filter: tally.documents for key, tally in report.dropped.items()}
        assert counts == (
            {"hexadecimal_prefix": 2, "text_length": 1}
            if name == "hex first"
            else {"hexadecimal_prefix": 1, "text_length": 2}
        )
        assert report.redacted["s", "emails", ""] == 1
        origins = {o for tally in report.dropped.values() for _, o in tally.examples}
        assert origins == {"o/0", "o/3", "o/4"}


def test_keys_and_bytes_are_those_of_the_redacted_text(tmp_path) -> None:
    data_dir = tmp_path / "study"
    manifest = read(data_dir, "s", texts("write to jane@corp-mail.net"), filters=filters(EMAILS))
    (text,) = kept(data_dir)
    assert manifest.num_bytes == len(text) == open_documents(data_dir, "s").keys()["num_bytes"][0]


def test_no_documents_is_an_error_that_counts_what_was_left_out(tmp_path) -> None:
    message = (
        r"sources.s has no documents; skipped: 1 \(odd; the first: 0\); dropped by filters: "
        r"2 by text_length; check the reader's options and the filters"
    )
    with pytest.raises(UserError, match=message):
        read(tmp_path / "study", "s", texts("!odd", "a", "b"), filters=filters(SHORT))
    with pytest.raises(UserError, match="skipped: none; dropped by filters: none; check"):
        read(tmp_path / "study", "s", texts())
    assert not (tmp_path / "study" / "documents.json").exists()


def task(tmp_path: Path) -> ReadTask:
    reader = texts("x", "y")
    return ReadTask(
        source="s",
        reader=reader,
        filters=(),
        shards=(0,),
        files=(),
        stamps=(),
        inventory=Inventory(files=()),
        folder=str(tmp_path / "pool"),
        key="key",
    )


def test_a_task_that_was_done_is_not_done_again(tmp_path, monkeypatch) -> None:
    one = pickle.loads(pickle.dumps(task(tmp_path)))
    first = read_part(one)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").rglob("*")}
    monkeypatch.setattr(type(one.reader), "read", None)
    assert read_part(one) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").rglob("*")} == times


def test_documents_are_not_held_in_memory(tmp_path, monkeypatch) -> None:
    """Each is written before the next but one is read."""
    from codepretrain.data.reading import read_part as module

    alive: set[int] = set()

    class Watched:
        def __init__(self, path: str, options: str) -> None:
            self.writer = original(path, options)

        def write(self, record: bytes) -> None:
            alive.clear()
            self.writer.write(record)

        def close(self) -> None:
            self.writer.close()

    class Counting(Given):
        def read(self, shard, source):
            for document in super().read(shard, source):
                alive.add(id(document))
                assert len(alive) <= 1
                yield document

    original = module.ArrayRecordWriter
    monkeypatch.setattr(module, "ArrayRecordWriter", Watched)
    reader = Counting(documents=texts(*map(str, range(500))).documents)
    assert read(tmp_path / "study", "s", reader).num_documents == 500


class Altering(Folder):
    """Appends to a file after it was read."""

    def read(self, shard, source):
        yield from super().read(shard, source)
        path = Path(self.path) / "b.txt"
        path.write_text(path.read_text() + "more\n")


def test_a_file_that_changes_while_it_is_read(tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    for name in "ab":
        (tmp_path / "raw" / f"{name}.txt").write_text(f"text of {name}\n")
    reader = Altering(path=str(tmp_path / "raw"), pattern="*.txt")
    with pytest.raises(UserError, match=r"sources.s: .*raw/b.txt changed while it was read"):
        read(tmp_path / "data" / "study", "s", reader)
    assert not list(tmp_path.glob("data/documents/*/*/files.json"))


def test_the_first_wrong_filter_is_named() -> None:
    wrong = FilterConfig(name="licences")
    with pytest.raises(UserError, match=r"sources.s.filters\[1\].name: no filter named 'lic"):
        filters(SHORT, wrong)
    wrong = FilterConfig(name="float_literals", options={"max_literal": 3})
    message = r"config.data.sources.s.filters\[1\].options.max_literal: no such field; did you"
    with pytest.raises(UserError, match=message):
        filters(SHORT, wrong)
