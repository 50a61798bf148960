import dataclasses
import filecmp
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader

from codepretrain.config.schema import SourceConfig
from codepretrain.data import prepare as prepare_module
from codepretrain.data.documents import documents_directory, read_documents
from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import load_prepared
from codepretrain.data.tokenizer import load_tokenizer
from codepretrain.errors import UserError
from codepretrain.rows.format import decode_row, rows_directory
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path


def read_all(path: Path) -> list[bytes]:
    reader = ArrayRecordReader(str(path))
    records = reader.read_all()
    reader.close()
    return records


def same_files(left: Path, right: Path) -> bool:
    """Whether two data directories hold the same, but for TensorFlow's log of its start."""
    names, others = (
        {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
        - {Path(".tensorflow.log")}
        for root in (left, right)
    )
    assert names == others
    return all(filecmp.cmp(left / name, right / name, shallow=False) for name in names)


def test_rows_give_every_documents_text_back(prepared_data) -> None:
    vocabulary = load_vocabulary(prepared_data.data_dir)
    for (source, split), manifest in prepared_data.data.rows.items():
        directory = rows_directory(prepared_data.data_dir, source, split)
        rows = [
            decode_row(record)
            for shard in manifest.shards
            for record in read_all(directory / shard.name)
        ]
        pieces: dict[int, dict[int, list[int]]] = {}
        for row in rows:
            for i, document in enumerate(row.documents.tolist()):
                start, length = int(row.segment_starts[i]), int(row.segment_lengths[i])
                tokens = row.tokens[start : start + length].tolist()
                pieces.setdefault(document, {})[int(row.document_offsets[i])] = tokens
        documents = list(read_documents(documents_directory(prepared_data.data_dir, source), split))
        provenance = [json.loads(r) for r in read_all(directory / "documents.arrayrecord")]
        assert len(documents) == len(provenance) == manifest.num_documents > 3
        for number, document in enumerate(documents):
            ids = [token for _, part in sorted(pieces[number].items()) for token in part[1:]]
            first = pieces[number][0][0]
            assert (first, ids[-1]) == (vocabulary.bos, vocabulary.eos)
            assert vocabulary.decode(ids) == document.text.encode()
            expected = {**document.provenance(), "num_tokens": len(ids) + 1}
            assert provenance[number] == expected
        stats = np.load(directory / "row_stats.npy")
        assert stats.dtype == np.uint32
        assert stats.tolist() == [
            [row.num_documents_begun, int(row.segment_bytes.sum()), row.num_targets] for row in rows
        ]
        assert stats.sum(0).tolist() == [
            manifest.num_documents,
            manifest.num_bytes,
            manifest.num_target_tokens,
        ]
        assert manifest.num_rows == len(rows)
        assert manifest.num_split_documents == sum(
            sum(len(part) > 1 for part in parts.values()) > 1 for parts in pieces.values()
        )


def test_shards_have_the_rows_asked_for(prepared_data) -> None:
    manifest = prepared_data.data.rows["code", "train"]
    assert len(manifest.shards) > 1
    assert [shard.num_rows for shard in manifest.shards[:-1]] == [100] * (len(manifest.shards) - 1)
    assert manifest.shards[0].name == f"rows-00000-of-{len(manifest.shards):05}.arrayrecord"
    manifest.check_files(
        rows_directory(prepared_data.data_dir, "code", "train"), reads_contents=True
    )


def test_no_document_is_in_both_splits(prepared_data) -> None:
    for source in prepared_data.config.data.sources:
        directory = documents_directory(prepared_data.data_dir, source)
        train, validation = (
            {document.id for document in read_documents(directory, split)}
            for split in ("train", "validation")
        )
        assert train
        assert validation
        assert not train & validation


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
    prepare(prepared_data.config, tmp_path / "data", num_workers=2, console=quiet)
    assert same_files(prepared_data.data_dir, tmp_path / "data")


@pytest.mark.parametrize(
    ("stage", "call"), [("collect", 2), ("save_tokenizer", 1), ("write_rows", 2)]
)
def test_interrupted_it_goes_on_where_it_was(
    prepared_data, tmp_path, quiet, monkeypatch, stage, call
) -> None:
    """Interrupted within a call of each stage, while its files are half written."""
    original = getattr(prepare_module, stage)
    num_calls = itertools.count(1)

    def interrupted(*args, **kwargs):
        if next(num_calls) != call:
            return original(*args, **kwargs)
        num_written = itertools.count(1)

        def dumps(*args, **kwargs):
            if stage == "save_tokenizer" or next(num_written) == 5:
                raise KeyboardInterrupt
            return "{}"

        with monkeypatch.context() as patch:
            patch.setattr(json, "dumps", dumps)
            return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(prepared_data.config, tmp_path / "data", num_workers=1, console=quiet)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    assert not list(tmp_path.rglob("*.partial"))
    prepare(prepared_data.config, tmp_path / "data", num_workers=1, console=quiet)
    assert same_files(prepared_data.data_dir, tmp_path / "data")
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert len(finished) == {"collect": 1, "save_tokenizer": 2, "write_rows": 3}[stage]


def test_concatenate_pads_only_the_last_row(make_study, tmp_path, quiet) -> None:
    config = make_study(packing="concatenate", validation_fraction=0.0)
    data = prepare(config, tmp_path, num_workers=1, console=quiet)
    manifest = data.rows["code", "train"]
    # stream of n tokens: ⌈(n - 1) / T⌉ rows; every bos but the first is an unweighted target
    assert manifest.num_rows == -(-(manifest.num_tokens - 1) // 64)
    assert manifest.efficiency > 0.98
    assert data.rows["text", "validation"].num_rows == 0
    assert data.rows["text", "validation"].shards == ()
    assert data.eval_items["prose_continuation"]["num_items"] == 0


def test_tokenizer_changed_under_packed_rows(prepared_data, tmp_path, quiet) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(prepared_data.data_dir, data_dir)
    shutil.rmtree(rows_directory(data_dir, "text", "train"))
    path = tokenizer_path(data_dir)
    path.write_text(path.read_text().replace('"dropout":null', '"dropout": null'))
    message = r"tokenizer changed under packed rows: .* packed with tokenizer \w{12}, .* is \w{12}"
    with pytest.raises(UserError, match=message):
        prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)


def test_given_tokenizer_is_copied_and_watched(prepared_data, make_study, tmp_path, quiet) -> None:
    given = tmp_path / "given.json"
    shutil.copy(tokenizer_path(prepared_data.data_dir), given)
    config = make_study(tokenizer={"path": str(given)})
    data = prepare(config, tmp_path / "data", num_workers=1, console=quiet)
    assert data.tokenizer_hash == prepared_data.data.tokenizer_hash
    assert data.rows["text", "train"].hash == prepared_data.data.rows["text", "train"].hash
    given.write_text(given.read_text() + "\n")
    with pytest.raises(UserError, match=r"given.json is tokenizer \w{12}, .* prepared with"):
        prepare(config, tmp_path / "data", num_workers=1, console=quiet)


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
    message = r"source 'text' gave no training documents.*\"no text in field 'body'\": 120"
    with pytest.raises(UserError, match=message):
        prepare(config, tmp_path, num_workers=1, console=quiet)
    assert not documents_directory(tmp_path, "text").exists()


def test_wrong_options_are_refused_before_anything_is_written(make_study, tmp_path, quiet) -> None:
    sources = {"text": SourceConfig(reader="folder", kind="text", options={"pth": "x"})}
    with pytest.raises(UserError, match=r"sources.text.options.pth: no such field; did you mean"):
        prepare(make_study(sources=sources), tmp_path / "data", num_workers=1, console=quiet)
    assert not (tmp_path / "data").exists()


def test_unwritable_place(make_study, tmp_path, quiet) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/data: Not a directory; choose"):
        prepare(make_study(), tmp_path / "file" / "data", num_workers=1, console=quiet)


def test_a_killed_prepare_leaves_no_processes(corpus, tmp_path) -> None:
    """Reading processes end with their parent."""
    program = (
        "import os, sys, multiprocessing as m\n"
        "from codepretrain.data.prepare import _executor\n"
        "if __name__ == '__main__':\n"
        "    with _executor(2) as e:\n"
        "        pids = [e.submit(os.getpid).result() for _ in range(8)]\n"
        "        print(*set(pids), flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    # The pipe's end is reached when the parent and all its children have closed it.
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -9
    assert done.stdout.split()


def test_items_refer_to_held_out_documents(prepared_data) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    held_out = {
        source: {
            document.id
            for document in read_documents(documents_directory(data_dir, source), "validation")
        }
        for source in config.data.sources
    }
    for task, source in (
        ("prose_continuation", "text"),
        ("code_continuation", "code"),
        ("python_expression", "code"),
    ):
        lines = (data_dir / "evals" / f"{task}.jsonl").read_text().splitlines()
        items = [json.loads(line) for line in lines]
        assert len(items) == prepared_data.data.eval_items[task]["num_items"] > 4
        assert {item["document"] for item in items} <= held_out[source]
        assert [item["id"] for item in items] == [f"{task}/{n:05}" for n in range(len(items))]
    assert tokenizer.decode(items[0]["prompt"]) == items[0]["prompt_text"]
