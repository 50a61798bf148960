import dataclasses
import filecmp
import io
import itertools
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.config.schema import FilterConfig, SourceConfig, TokenizerConfig
from codepretrain.data import prepare as prepare_module
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.keys import KeysWriter
from codepretrain.data.packing import pack_part as pack_part_module
from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import load_prepared
from codepretrain.data.reading import document_parts
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection import selected as selection_module
from codepretrain.data.selection.selected import split_documents
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.cache import Cache
from codepretrain.files.hashing import sha256_file
from codepretrain.files.lease import exclusive
from codepretrain.files.storage import remove_tree
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.store import RowStore
from codepretrain.rows.vocabulary import (
    Vocabulary,
    load_vocabulary,
    tokenizer_directory,
    tokenizer_path,
)


def same_files(left: Path, right: Path) -> bool:
    """Returns whether two data directories, and the pools beside them, hold the same."""
    names, others = (
        {path.relative_to(root) for path in root.rglob("*") if path.is_file()} - {Path(".lock")}
        for root in (left.parent, right.parent)
    )
    assert names == others
    return all(
        filecmp.cmp(left.parent / name, right.parent / name, shallow=False) for name in names
    )


def test_rows_give_every_documents_text_back(prepared_data) -> None:
    vocabulary = load_vocabulary(prepared_data.data_dir)
    for (source, split), manifest in prepared_data.data.rows.items():
        directory = rows_directory(prepared_data.data_dir, source, split)
        store = RowStore(directory, source=source, split=split)
        rows = [store[number] for number in range(len(store))]
        segments: dict[int, dict[int, list[int]]] = {}
        for row in rows:
            for i, document in enumerate(row.documents.tolist()):
                start, length = int(row.segment_starts[i]), int(row.segment_lengths[i])
                tokens = row.tokens[start : start + length].tolist()
                segments.setdefault(document, {})[int(row.document_offsets[i])] = tokens
        documents = list(split_documents(prepared_data.data_dir, source=source, split=split))
        assert len(documents) == manifest.num_documents > 3
        for number, document in enumerate(documents):
            ids = [token for _, part in sorted(segments[number].items()) for token in part[1:]]
            first = segments[number][0][0]
            assert (first, ids[-1]) == (vocabulary.bos, vocabulary.eos)
            assert vocabulary.decode(ids) == document.text.encode()
            expected = {**document.provenance(), "num_tokens": len(ids) + 1}
            assert store.document(number) == expected
        assert store.stats.tolist() == [
            [row.num_documents_begun, int(row.segment_bytes.sum()), row.num_targets] for row in rows
        ]
        assert store.stats.sum(0).tolist() == [
            manifest.num_documents,
            manifest.num_bytes,
            manifest.num_target_tokens,
        ]
        assert manifest.num_rows == len(rows)
        assert manifest.num_split_documents == sum(
            sum(len(part) > 1 for part in parts.values()) > 1 for parts in segments.values()
        )


def test_parts_end_where_they_reach_their_size(prepared_data) -> None:
    parts = prepared_data.data.rows["code", "train"].parts
    documents = split_documents(prepared_data.data_dir, source="code", split="train")
    assert len(parts) > 2
    for part in parts[:-1]:
        sizes = [document.num_bytes for document in itertools.islice(documents, part.num_documents)]
        assert sum(sizes[:-1]) < prepared_data.config.data.part_bytes <= sum(sizes)
    assert len(list(documents)) == parts[-1].num_documents


def test_summary_names_sources_counts_and_items(prepared_data) -> None:
    assert "code (train)" in prepared_data.printed
    assert f"{prepared_data.data.rows['code', 'train'].num_rows:,}" in prepared_data.printed
    assert "python_expression" in prepared_data.printed
    assert "packing text, validation" in prepared_data.printed


def test_preparing_again_changes_nothing_and_reads_nothing(prepared_data, quiet) -> None:
    again = prepare(prepared_data.config, prepared_data.data_dir, num_workers=1, console=quiet)
    assert again == dataclasses.replace(prepared_data.data, seconds={})
    assert load_prepared(prepared_data.config, prepared_data.data_dir) == again


def test_result_does_not_depend_on_workers(prepared_data, tmp_path, quiet) -> None:
    prepare(prepared_data.config, tmp_path / "data" / "study", num_workers=2, console=quiet)
    assert same_files(prepared_data.data_dir, tmp_path / "data" / "study")


@pytest.mark.parametrize(
    ("stage", "call"),
    [("read_source", 2), ("select_documents", 1), ("save_tokenizer", 1), ("write_part", 2)],
)
def test_interrupted_it_goes_on_where_it_was(
    prepared_data, tmp_path, quiet, monkeypatch, stage, call
) -> None:
    """Interrupted within a call of each stage, while its files are half written."""
    module = pack_part_module if stage == "write_part" else prepare_module
    original = getattr(module, stage)
    num_calls = itertools.count(1)

    def interrupted(*args, **kwargs):
        if next(num_calls) != call:
            return original(*args, **kwargs)
        if stage == "write_part":
            args = (args[0], _interrupting(args[1]))
        with monkeypatch.context() as patch:
            if stage == "select_documents":
                patch.setattr(
                    selection_module, "write_sealed", lambda *_: next(_interrupting(range(1)))
                )
            if stage == "read_source":
                patch.setattr(KeysWriter, "save", lambda *_: next(_interrupting(range(1))))
            if stage == "save_tokenizer":
                patch.setattr(Vocabulary, "save", lambda *_: next(_interrupting(range(1))))
            return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(prepared_data.config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    finished = {
        path: path.stat().st_mtime_ns
        for path in tmp_path.rglob("files.json")
        if "selection-scan" not in path.parts  # removed when the selection is whole
    }
    assert not list(tmp_path.rglob("*.partial*"))
    prepare(prepared_data.config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert same_files(prepared_data.data_dir, tmp_path / "data" / "study")
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert (
        len(finished)
        == {"read_source": 1, "save_tokenizer": 3, "select_documents": 2, "write_part": 5}[stage]
    )


def _interrupting(items):
    """Yields at most three of the items, then is interrupted."""
    yield from itertools.islice(items, 1, 4)
    raise KeyboardInterrupt


def test_concatenate_pads_only_the_last_row(make_study, tmp_path, quiet) -> None:
    config = make_study(packing="concatenate", validation_fraction=0.0, part_bytes=2**20)
    data = prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    manifest = data.rows["code", "train"]
    # stream of n tokens: ⌈(n - 1) / T⌉ rows; every bos but the first is an unweighted target
    assert manifest.num_rows == -(-(manifest.num_tokens - 1) // 64)
    assert manifest.efficiency > 0.98
    assert data.rows["text", "validation"].num_rows == 0
    assert data.rows["text", "validation"].parts == ()
    assert data.num_items["prose_continuation"] == 0


def test_tokenizer_changed_under_packed_rows(prepared_data, make_study, tmp_path, quiet) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    shutil.rmtree(rows_directory(data_dir, "text", "train"))
    remove_tree(tokenizer_directory(data_dir))
    settings = TokenizerConfig(vocab_size=300)
    save_tokenizer(train_tokenizer(["another text"], settings), settings, data_dir)
    message = r"tokenizer changed under .* was made with tokenizer \w{12}, .* is \w{12}; restore"
    with pytest.raises(UserError, match=message):
        prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)


def test_given_tokenizer_is_copied_and_watched(prepared_data, make_study, tmp_path, quiet) -> None:
    given = tmp_path / "given.json"
    shutil.copy(tokenizer_path(prepared_data.data_dir), given)
    config = make_study(tokenizer={"path": str(given)})
    data = prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert data.tokenizer_hash == prepared_data.data.tokenizer_hash
    assert data.rows["text", "train"].hash == prepared_data.data.rows["text", "train"].hash
    given.write_text(given.read_text() + "\n")
    with pytest.raises(UserError, match=r"given.json is tokenizer \w{12}, .* prepared with"):
        prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)


def test_other_settings_in_the_same_place_are_named(prepared_data, make_study, quiet) -> None:
    with pytest.raises(UserError, match=r"other settings \(max_seq_len: 64 → 32\)"):
        prepare(make_study(max_seq_len=32), prepared_data.data_dir, num_workers=1, console=quiet)


def test_a_source_without_documents(make_study, tmp_path, quiet) -> None:
    config = make_study()
    empty = dataclasses.replace(
        config.data.sources["text"],
        options={**config.data.sources["text"].options, "text_field": "body"},
    )
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, sources={**config.data.sources, "text": empty}),
    )
    message = r"sources.text: .*prose.jsonl line 1 has no field 'body'.* license, text"
    with pytest.raises(UserError, match=message):
        prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert not (tmp_path / "data" / "documents").exists(), "told before the first is read"


def test_wrong_options_are_refused_before_anything_is_written(make_study, tmp_path, quiet) -> None:
    sources = {"text": SourceConfig(reader="folder", kind="text", options={"pth": "x"})}
    with pytest.raises(UserError, match=r"sources.text.options.pth: no such field; did you mean"):
        prepare(make_study(sources=sources), tmp_path / "data/study", num_workers=1, console=quiet)
    assert not (tmp_path / "data").exists()


def test_unwritable_place(make_study, tmp_path, quiet) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot lock .*file/data: Not a directory; one"):
        prepare(make_study(), tmp_path / "file" / "data" / "study", num_workers=1, console=quiet)


def test_everything_that_is_missing_is_told_before_anything_is_read(
    make_study, tmp_path, quiet, monkeypatch
) -> None:
    config = make_study(tokenizer={"path": str(tmp_path / "absent.json")})
    sources = {
        **config.data.sources,
        "text": dataclasses.replace(
            config.data.sources["text"], options={"path": str(tmp_path / "no.jsonl")}
        ),
    }
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    read = []
    monkeypatch.setattr(prepare_module, "read_source", lambda *_, **__: read.append(1))
    message = r"sources.text: reader 'jsonl': no file .*no.jsonl.*; .*tokenizer.path: .*absent.json"
    with pytest.raises(UserError, match=message):
        prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert read == []


def test_too_many_workers_are_refused_before_anything_is_written(
    make_study, tmp_path, quiet
) -> None:
    with pytest.raises(UserError, match=r"--num-workers: expected 1 to \d+ .*, found 100000"):
        prepare(make_study(), tmp_path / "data" / "study", num_workers=100_000, console=quiet)
    assert not (tmp_path / "data").exists()


def test_documents_that_were_deleted_are_read_again(prepared_data, tmp_path, quiet) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    remove_tree(open_documents(data_dir, "text").folder)
    prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)
    assert same_files(prepared_data.data_dir, data_dir)


def test_an_object_store_holds_the_same(
    prepared_data, memory, tmp_path, quiet, monkeypatch
) -> None:
    """Its files are copied to a cache of the configured size, for every stage."""
    execution = dataclasses.replace(prepared_data.config.execution, row_cache_bytes=2**30)
    config = dataclasses.replace(prepared_data.config, execution=execution)

    def host_cache(max_bytes: int | None) -> Cache:
        assert max_bytes == 2**30
        return Cache(tmp_path / "cache", max_bytes=max_bytes)

    monkeypatch.setattr(document_parts, "host_cache", host_cache)
    data_dir = memory / "study"
    prepare(config, data_dir, num_workers=1, console=quiet)
    found = {
        name: sha256_file(memory / name)
        for name in storage.sizes_below(memory)
        if not name.startswith(".lease/")
    }
    local = storage.sizes_below(pools := prepared_data.data_dir.parent).keys() - {".lock"}
    assert found == {name: sha256_file(pools / name) for name in local}
    again = prepare(config, data_dir, num_workers=1, console=quiet)
    assert again == dataclasses.replace(prepared_data.data, seconds={})


def test_another_source_leaves_the_documents_of_the_others(
    prepared_data, make_study, tmp_path, quiet
) -> None:
    first = prepared_data.copy(tmp_path / "data")
    pool = tmp_path / "data" / "documents"
    before = {path: path.stat().st_mtime_ns for path in pool.rglob("*")}
    (tmp_path / "notes.jsonl").write_text('{"text": "one note"}\n{"text": "another one"}\n' * 9)
    notes = SourceConfig(
        reader="jsonl", kind="text", options={"path": str(tmp_path / "notes.jsonl")}
    )
    config = make_study(sources={**prepared_data.config.data.sources, "notes": notes})
    second = prepare(config, tmp_path / "data" / "second", num_workers=1, console=quiet)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(pool.iterdir())) == 3
    assert second.documents["text"] == prepared_data.data.documents["text"]
    assert load_prepared(prepared_data.config, first) == dataclasses.replace(
        prepared_data.data, seconds={}
    )


def test_two_preparations_wait_for_each_other_and_share_the_documents(
    prepared_data, make_study, tmp_path
) -> None:
    prepared_data.copy(tmp_path / "data")
    pool = tmp_path / "data" / "documents"
    before = {path: path.stat().st_mtime_ns for path in pool.rglob("*")}
    printed = io.StringIO()
    config = make_study(validation_fraction=0.3)
    second = tmp_path / "data" / "second"
    waiting = threading.Thread(
        target=prepare,
        args=(config, second),
        kwargs={"num_workers": 1, "console": Console(file=printed, width=200)},
    )
    with exclusive(tmp_path / "data"):
        waiting.start()
        while "waiting" not in printed.getvalue():
            assert waiting.is_alive()
            time.sleep(0.01)
        assert not second.exists()
    waiting.join()
    assert f"data is in use by process {os.getpid()} on " in printed.getvalue()
    assert load_prepared(config, second).selection.settings["validation_fraction"] == 0.3
    assert {path: path.stat().st_mtime_ns for path in pool.rglob("*")} == before


def test_filters_drop_documents_and_are_told(make_study, tmp_path) -> None:
    config = make_study()
    code = dataclasses.replace(
        config.data.sources["code"],
        filters=(FilterConfig(name="text_length", options={"min_characters": 200}),),
    )
    config = make_study(sources={**config.data.sources, "code": code})
    printed = io.StringIO()
    data = prepare(
        config,
        tmp_path / "data" / "study",
        num_workers=1,
        console=Console(file=printed, width=120),
    )
    report = DropReport.from_json(data.documents["code"].drop_report)
    (dropped,) = report.dropped.values()
    assert dropped.documents > 5
    assert len(dropped.examples) == min(10, dropped.documents)
    assert dropped.documents + data.documents["code"].num_documents == 60
    lines = [line.split() for line in printed.getvalue().splitlines()]
    counts = [
        [word for word in line if word not in "│┃"] for line in lines if "text_length" in line
    ]
    assert counts[0][:4] == ["code", "text_length", "text_length", str(dropped.documents)]
    assert "Filtered documents" in printed.getvalue()


def test_wrong_filters_are_refused_before_anything_is_written(make_study, tmp_path, quiet) -> None:
    text = make_study().data.sources["text"]
    wrong = dataclasses.replace(text, filters=(FilterConfig(name="text_lenght"),))
    config = make_study(sources={"text": wrong})
    message = (
        r"config.data.sources.text.filters\[0\].name: no filter named 'text_lenght'; did you mean t"
    )
    with pytest.raises(UserError, match=message):
        prepare(config, tmp_path / "data" / "study", num_workers=1, console=quiet)
    assert not (tmp_path / "data").exists()
