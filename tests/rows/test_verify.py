from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_bytes
from codepretrain.rows.verify import check_contents


def test_every_problem_is_named(tmp_path: Path) -> None:
    contents = {"a": b"1", "b": b"2", "c": b"3"}
    hashes = {name: sha256_bytes(content) for name, content in contents.items()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    check_contents(tmp_path, hashes, contents, remedy="")
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"y")
    check_contents(tmp_path, hashes, ["b"], remedy="")
    message = f"damaged {tmp_path}: d is missing from files.json; a was altered: .*; c was .*; redo"
    with pytest.raises(UserError, match=message):
        check_contents(tmp_path, hashes, ["a", "b", "c", "d"], remedy="redo")
