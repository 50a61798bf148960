"""Raw files that changed are noticed, whatever changed, and are read again where that is asked."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import load_prepared
from codepretrain.data.reading import checksums as checksums_module
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.selected import split_documents
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_bytes
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import rows_directory
from tests.fixtures.corpus import study


@pytest.fixture
def raw(corpus, tmp_path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "raw"))


@pytest.fixture
def prepared_raw(raw, tmp_path, quiet):
    """Config and data directory of data that was prepared from `raw`."""
    config = study(raw)
    prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    return config, tmp_path / "data" / "study"


def alter(path: Path) -> None:
    """Changes one byte; the size stays, and so does the time that tools show."""
    before = path.stat()
    contents = path.read_bytes()
    path.write_bytes(contents[:-2] + bytes([contents[-2] ^ 1]) + contents[-1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_altered_file_is_named(prepared_raw, raw, quiet) -> None:
    config, data_dir = prepared_raw
    alter(raw / "code" / "m07.py")
    message = (
        r"config.data.sources.code: the raw files are not those that .*documents/code-\w{12} were "
        r"read from: .*raw/code/m07.py was altered; restore them, .*--reread-changed"
    )
    with pytest.raises(UserError, match=message):
        prepare(config, data_dir, num_workers=1, console=quiet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: (raw / "code" / "new.py").write_text("x = 1\n"), r"new.py is new"),
        (lambda raw: (raw / "code" / "m59.py").unlink(), r"m59.py is gone"),
        (
            lambda raw: (raw / "code" / "m03.py").rename(raw / "code" / "m03b.py"),
            r"m03b.py is new, and 1 others changed",
        ),
        (
            lambda raw: (raw / "prose.jsonl").write_text('{"text": "short"}\n'),
            r"prose.jsonl was altered \(\S+ → 18 bytes\)",
        ),
        (
            lambda raw: (raw / "prose.jsonl").write_text('{"body": "short"}\n'),
            r"prose.jsonl line 1 has no field 'text'",
        ),
    ],
)
def test_other_changes_are_named(prepared_raw, raw, quiet, change, message) -> None:
    config, data_dir = prepared_raw
    change(raw)
    with pytest.raises(UserError, match=message):
        prepare(config, data_dir, num_workers=1, console=quiet)


def test_another_corpus_at_the_same_relative_path(tmp_path, corpus, quiet, monkeypatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copytree(corpus, tmp_path / name / "raw")
    alter(tmp_path / "b" / "raw" / "prose.jsonl")
    config = study(Path("raw"))
    monkeypatch.chdir(tmp_path / "a")
    first = prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(UserError, match=r"sources.text: the raw files are not .*prose.jsonl was"):
        prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    shutil.copy(tmp_path / "a" / "raw" / "prose.jsonl", tmp_path / "b" / "raw" / "prose.jsonl")
    again = prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert again.rows == first.rows, "the same contents elsewhere are the same corpus"


def test_files_that_did_not_change_are_not_read_again(prepared_raw, raw, quiet, monkeypatch):
    config, data_dir = prepared_raw
    read: list[str] = []
    original = checksums_module.contents_checksum

    def spy(path, version):
        read.append(os.path.basename(path))
        return original(path, version)

    monkeypatch.setattr(checksums_module, "contents_checksum", spy)
    prepare(config, data_dir, num_workers=1, console=quiet)
    assert read == []
    os.utime(raw / "code" / "m05.py")
    prepare(config, data_dir, num_workers=1, console=quiet)
    assert read == ["m05.py"]
    prepare(config, data_dir, num_workers=1, console=quiet)
    assert read == ["m05.py"]
    (open_documents(data_dir, "text").folder / "checksums.json").write_text("{}")
    prepare(config, data_dir, num_workers=1, console=quiet)
    assert read == ["m05.py", "prose.jsonl"]


def test_a_corpus_that_is_gone_is_noted(prepared_raw, raw, quiet) -> None:
    config, data_dir = prepared_raw
    before = load_prepared(config, data_dir)
    shutil.rmtree(raw)
    again = prepare(config, data_dir, num_workers=1, console=quiet)
    assert again.rows == before.rows
    printed = " ".join(quiet.file.getvalue().split())
    assert "config.data.sources.code: cannot compare the raw files with those that" in printed


def test_files_after_the_last_part_that_was_read_do_not_matter(
    raw, tmp_path, quiet, monkeypatch
) -> None:
    monkeypatch.setattr(part_plan, "_MIN_PART_BYTES", 1)
    data_dir = tmp_path / "data" / "study"
    many = tmp_path / "many"
    many.mkdir()
    for number in range(200):
        (many / f"f{number:03}.py").write_text(f"number = {number}\n" * 5)
    config = study(raw)
    code = config.data.sources["code"]
    options = {**code.options, "path": str(many), "max_bytes": 2000}
    sources = {**config.data.sources, "code": dataclasses.replace(code, options=options)}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    first = prepare(config, data_dir, num_workers=2, console=quiet)
    assert first.documents["code"].was_capped
    assert first.documents["code"].num_files == 64, "one shard is a part"
    alter(many / "f064.py")
    (many / "f999.py").write_text("x = 1\n")
    assert prepare(config, data_dir, num_workers=1, console=quiet).rows == first.rows
    alter(many / "f063.py")
    with pytest.raises(UserError, match=r"f063.py was altered"):
        prepare(config, data_dir, num_workers=1, console=quiet)


def test_the_inventory_has_names_sizes_and_checksums(prepared_raw, raw) -> None:
    _, data_dir = prepared_raw
    files = open_documents(data_dir, "code").inventory().files
    assert [file.name for file in files] == [f"m{number:02}.py" for number in range(60)]
    contents = (raw / "code" / "m11.py").read_bytes()
    assert files[11].size == len(contents)
    assert files[11].checksum == f"sha256:{sha256_bytes(contents)}"


def test_reading_again_makes_what_preparing_anew_makes(prepared_raw, raw, tmp_path, quiet) -> None:
    config, data_dir = prepared_raw
    pool = {p: p.stat().st_mtime_ns for p in data_dir.parent.glob("documents/*/*/*")}
    before = {source: open_documents(data_dir, source).hash for source in config.data.sources}
    (raw / "code" / "m07.py").write_text("changed = 1\n" * 30)
    again = prepare(config, data_dir, num_workers=1, console=quiet, rereads_changed=True)
    assert all(path.stat().st_mtime_ns == time for path, time in pool.items())
    assert open_documents(data_dir, "text").hash == before["text"]
    assert open_documents(data_dir, "code").hash != before["code"]
    anew = prepare(config, tmp_path / "anew" / "study", num_workers=1, console=quiet)
    strip: Any = {"seconds": {}}
    assert dataclasses.replace(again, **strip) == dataclasses.replace(anew, **strip)
    texts = {
        document.text
        for split in SPLITS
        for document in split_documents(data_dir, source="code", split=split)
    }
    assert "changed = 1\n" * 30 in texts
    prepare(config, data_dir, num_workers=1, console=quiet)


@pytest.mark.parametrize(
    "stage", ["read_source", "select_documents", "save_tokenizer", "pack_rows"]
)
def test_reading_again_may_be_interrupted(
    prepared_raw, raw, tmp_path, quiet, monkeypatch, stage
) -> None:
    from codepretrain.data import prepare as prepare_module

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    config, data_dir = prepared_raw
    (raw / "code" / "m07.py").write_text("changed = 1\n" * 30)
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, data_dir, num_workers=1, console=quiet, rereads_changed=True)
    again = prepare(config, data_dir, num_workers=1, console=quiet, rereads_changed=True)
    anew = prepare(config, tmp_path / "anew" / "study", num_workers=1, console=quiet)
    assert again.rows == anew.rows


def test_with_a_given_tokenizer_other_sources_are_not_packed_again(
    prepared_raw, raw, tmp_path, quiet
) -> None:
    config, data_dir = prepared_raw
    given = tmp_path / "given.json"
    shutil.copy(data_dir / "tokenizer" / "tokenizer.json", given)
    tokenizer = dataclasses.replace(config.data.tokenizer, path=str(given))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, tokenizer=tokenizer))
    data_dir = tmp_path / "other" / "study"
    prepare(config, data_dir, num_workers=1, console=quiet)
    times = {
        path: path.stat().st_mtime_ns
        for split in SPLITS
        for path in Path(rows_directory(data_dir, "text", split)).rglob("*.json")
    }
    (raw / "code" / "m07.py").write_text("changed = 1\n" * 30)
    prepare(config, data_dir, num_workers=1, console=quiet, rereads_changed=True)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert len(times) > 4
