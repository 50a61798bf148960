"""The exported tokenizer, and the hash that tells whether two tokenizers give the same ids."""

import hashlib
import json
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.interop.tokenizer_files import (
    check_is_exported,
    ids_digest,
    special_tokens,
    write_tokenizer,
)


def test_a_post_processor_is_kept(tmp_path: Path, tokenizer: Path) -> None:
    value = json.loads(tokenizer.read_text())
    trims = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    value["post_processor"] = trims
    value["padding"] = {"strategy": {"Fixed": 9}}
    tokenizer.write_text(json.dumps(value))
    tokens = special_tokens(tokenizer, bos="<bos>", eos="<eos>")
    write_tokenizer(tmp_path, tokenizer, tokens=tokens, max_seq_len=8)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    assert written["padding"] is None
    first, second = written["post_processor"]["processors"]
    assert (first, second["type"]) == (trims, "TemplateProcessing")
    with pytest.raises(UserError, match="has no token '<s>'"):
        special_tokens(tokenizer, bos="<s>", eos="<eos>")


def test_what_decides_the_ids_of_a_text(tmp_path: Path, tokenizer: Path) -> None:
    value = json.loads(tokenizer.read_text())
    same = {**value, "post_processor": {"type": "x"}, "padding": {}}
    same["model"] = {**value["model"], "merges": ["a b"]}
    other = {**value, "model": {**value["model"], "merges": []}}
    paths = [tmp_path / "same.json", tmp_path / "other.json"]
    for path, content in zip(paths, (same, other), strict=True):
        path.write_text(json.dumps(content))
    assert ids_digest(paths[0]) == ids_digest(tokenizer)
    assert ids_digest(paths[1]) != ids_digest(tokenizer)


def test_a_tokenizer_that_replaced_the_exported_one_is_refused(
    tmp_path: Path, tokenizer: Path
) -> None:
    check_is_exported(tmp_path)  # nothing is there
    given = tokenizer.read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(given)
    check_is_exported(tmp_path)  # of another program's model nothing is known
    listed = {"tokenizer.json": {"size": len(given), "sha256": hashlib.sha256(given).hexdigest()}}
    (tmp_path / "files.json").write_text(json.dumps({"files": listed}))
    check_is_exported(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(given + b"\n")
    with pytest.raises(UserError, match="is not the tokenizer that was exported with the model"):
        check_is_exported(tmp_path)
