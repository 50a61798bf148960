import dataclasses
import hashlib
import json

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.rows.format import (
    Row,
    RowsManifest,
    Shard,
    decode_row,
    encode_row,
    rows_directory,
)


def make_row() -> Row:
    #  document 7 whole: bos a b eos; document 9, second segment, 3 tokens; two of padding
    return Row(
        tokens=np.array([1, 10, 11, 2, 40, 41, 2, 0, 0], np.int32),
        segment_starts=np.array([0, 4], np.int32),
        segment_lengths=np.array([4, 3], np.int32),
        documents=np.array([7, 9], np.int64),
        document_offsets=np.array([0, 8], np.int64),
        segment_bytes=np.array([5, 3], np.int64),
    )


def make_manifest(shards: tuple[Shard, ...] = (), **changes: object) -> RowsManifest:
    fields = {
        "source": "text",
        "split": "train",
        "format_version": 1,
        "max_seq_len": 8,
        "packing": "best_fit",
        "vocab_size": 300,
        "num_documents": 2,
        "num_bytes": 8,
        "num_tokens": 7,
        "num_target_tokens": 5,
        "num_rows": 1,
        "num_padding": 3,
        "num_split_documents": 0,
        "rows_sha256": "r",
        "tokenizer_hash": "t",
        "settings_hash": "s",
        "shards": shards,
        "row_stats_sha256": hashlib.sha256(b"stats").hexdigest(),
        "documents_sha256": hashlib.sha256(b"documents").hexdigest(),
    }
    return RowsManifest(**{**fields, **changes})


@pytest.mark.parametrize("vocab_size", [300, 1 << 16, (1 << 16) + 1])
def test_a_row_survives_encoding(vocab_size: int) -> None:
    row = make_row()
    decoded = decode_row(encode_row(row, vocab_size))
    for field in dataclasses.fields(Row):
        expected, got = getattr(row, field.name), getattr(decoded, field.name)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_tokens_take_two_bytes_up_to_65536_entries() -> None:
    row = make_row()
    assert len(encode_row(row, (1 << 16) + 1)) - len(encode_row(row, 1 << 16)) == 2 * 7
    row.tokens[1] = 65_535
    assert decode_row(encode_row(row, 1 << 16)).tokens[1] == 65_535


def test_targets_and_begun_documents() -> None:
    row = make_row()
    assert row.num_targets == 3 + 2
    assert row.num_documents_begun == 1
    # a lone bos at the end of a row begins nothing: its first target stands in the next row
    lone = dataclasses.replace(
        row, segment_lengths=np.array([4, 1], np.int32), document_offsets=np.array([0, 0], np.int64)
    )
    assert lone.num_documents_begun == 1


def test_any_damaged_byte_is_noticed() -> None:
    record = encode_row(make_row(), 300)
    for position in range(len(record)):
        damaged = bytearray(record)
        damaged[position] ^= 0x10
        with pytest.raises(ValueError, match="row record"):
            decode_row(bytes(damaged))
    for length in range(len(record)):
        with pytest.raises(ValueError, match="damaged row record"):
            decode_row(record[:length])


def test_manifest_survives_json_and_its_hash_sees_what_training_sees() -> None:
    manifest = make_manifest((Shard("rows-00000-of-00001.arrayrecord", 1, 99, "ab"),))
    copy = RowsManifest.from_json(json.loads(json.dumps(manifest.to_json())))
    assert copy == manifest
    assert copy.hash == manifest.hash
    assert manifest.efficiency == 5 / 8
    no_part = {"shards", "settings_hash", "row_stats_sha256", "documents_sha256"}
    for field in dataclasses.fields(RowsManifest):
        value = getattr(manifest, field.name)
        other = () if field.name == "shards" else value + type(value)(1)
        changed = dataclasses.replace(manifest, **{field.name: other})
        assert (changed.hash == manifest.hash) == (field.name in no_part), field.name


def test_load_tells_absent_damaged_missing_and_unknown_apart(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no prepared rows at .*codepretrain prepare"):
        RowsManifest.load(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text("{")
    with pytest.raises(UserError, match="damaged manifest"):
        RowsManifest.load(tmp_path)
    value = make_manifest().to_json()
    del value["num_rows"]
    path.write_text(json.dumps({**value, "color": 1}))
    with pytest.raises(UserError, match=r"missing fields \['num_rows'\], unknown fields"):
        RowsManifest.load(tmp_path)
    path.write_text(json.dumps({**make_manifest().to_json(), "format_version": 99}))
    with pytest.raises(UserError, match="expected format version 1, got 99"):
        RowsManifest.load(tmp_path)


def test_check_files_names_what_is_damaged(tmp_path) -> None:
    directory = rows_directory(tmp_path, "text", "train")
    directory.mkdir(parents=True)
    shards = tuple(
        Shard(f"rows-{i:05d}-of-00002.arrayrecord", 1, 4, hashlib.sha256(b"abcd").hexdigest())
        for i in range(2)
    )
    manifest = make_manifest(shards)
    for shard in shards:
        (directory / shard.name).write_bytes(b"abcd")
    (directory / "documents.arrayrecord").write_bytes(b"documents")
    (directory / "row_stats.npy").write_bytes(b"stats")
    manifest.check_files(directory, reads_contents=True)

    (directory / shards[0].name).write_bytes(b"abc")
    (directory / shards[1].name).unlink()
    with pytest.raises(UserError, match=r"00000.* has 3 bytes, expected 4; .*00001.* is missing"):
        manifest.check_files(directory)
    for shard in shards:
        (directory / shard.name).write_bytes(b"abcx")
    manifest.check_files(directory)
    with pytest.raises(UserError, match=r"00000.* has changed \(sha256 differs\)"):
        manifest.check_files(directory, reads_contents=True)
