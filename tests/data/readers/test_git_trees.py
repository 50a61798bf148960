import hashlib
import zlib
from pathlib import Path

import pytest

from codepretrain.data.readers import git_trees
from codepretrain.data.readers.git_objects import BROKEN, ObjectError, Objects
from codepretrain.data.readers.git_trees import (
    Broken,
    Change,
    Commit,
    Entry,
    changes,
    files,
    head_commit,
    history,
    read_commit,
)
from tests.data.readers.repositories import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "code")


def objects_of(repository: Repository) -> Objects:
    return Objects(f"{repository.path}/.git")


def write(repository: Repository, kind: str, content: bytes) -> str:
    """Writes an object that git itself would refuse to make."""
    whole = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(whole).hexdigest()
    path = repository.path / ".git/objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(whole))
    return name


def tree(repository: Repository, *entries: tuple[bytes, bytes, str]) -> str:
    content = b"".join(m + b" " + n + b"\0" + bytes.fromhex(i) for m, n, i in entries)
    return write(repository, "tree", content)


def test_a_tree_of_endless_files_is_cut(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tree contains the one below it ten times: 20 objects state 10^20 files."""
    below, mode = write(repository, "blob", b"x"), b"100644"
    for _ in range(20):
        below = tree(repository, *((mode, str(n).encode(), below) for n in range(10)))
        mode = b"40000"
    monkeypatch.setattr(git_trees, "MAX_FILES", 1000)
    with objects_of(repository) as objects:
        found = list(files(objects, below))
    assert isinstance(found[0], Entry)
    assert found[-1] == Broken(found[-1].path, "tree with too many files")
    assert len(found) <= 1001


def test_changes_of_endless_trees_without_files_are_cut(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tree(repository)
    for _ in range(20):
        below = tree(repository, *((b"40000", str(n).encode(), below) for n in range(10)))
    monkeypatch.setattr(git_trees, "MAX_CHANGED_TREES", 1000)
    monkeypatch.setattr(git_trees, "_entries", _at_most(1001, git_trees._entries))
    with (
        objects_of(repository) as objects,
        pytest.raises(ObjectError, match="tree with too many files"),
    ):
        changes(objects, None, below, at_most=1)


def _at_most(num_calls: int, call):
    numbers = iter(range(num_calls))

    def limited(*arguments):
        assert next(numbers, None) is not None, f"more than {num_calls} trees were read"
        return call(*arguments)

    return limited


def test_objects_with_damaged_contents(repository: Repository) -> None:
    blob = write(repository, "blob", b"x")
    no_end = write(repository, "tree", b"100644 name without its end")
    short = write(repository, "tree", b"100644 a\0" + bytes(7))
    not_utf8 = tree(repository, (b"100644", b"\xff", blob), (b"160000", b"module", blob))
    no_tree = write(repository, "commit", b"author A <a> 1 +0000\n\nmessage")
    with objects_of(repository) as objects:
        for name in (no_end, short):
            assert list(files(objects, name)) == [Broken("", BROKEN)]
            with pytest.raises(ObjectError, match=BROKEN):
                changes(objects, None, name, at_most=1)
        assert list(files(objects, not_utf8)) == [Entry("\\xff", blob)]
        with pytest.raises(ObjectError, match=BROKEN):
            read_commit(objects, no_tree)


def test_history_and_changes(repository: Repository) -> None:
    first = repository.commit("One", {"a": "1", "d/b": "1", "d/e/c": "1"})
    second = repository.commit("Two", {"d/e/c": "2", "d/b": None, "f": "1"})
    repository.git("rm", "--quiet", "-r", "d")
    third = repository.commit("Three", {"d": "a file now"})
    with objects_of(repository) as objects:
        found = list(history(objects, head_commit(objects, third)))
        assert [commit.name for commit in found] == [first, second, third]
        one, two, three = (commit for commit in found if isinstance(commit, Commit))
        assert (one.message, one.parents, two.parents) == ("One\n", (), (first,))
        paths = [change.path for change in changes(objects, None, one.tree, at_most=9)]
        assert paths == ["a", "d/b", "d/e/c"]
        changed = changes(objects, one.tree, two.tree, at_most=9)
        assert [(c.path, bool(c.before), bool(c.after)) for c in changed] == [
            ("d/b", True, False),
            ("d/e/c", True, True),
            ("f", False, True),
        ]
        became_file = changes(objects, two.tree, three.tree, at_most=9)
        assert [change.path for change in became_file] == ["d", "d/e/c"]
        assert isinstance(became_file[0], Change)
        assert len(changes(objects, None, one.tree, at_most=1)) >= 2
        assert changes(objects, one.tree, one.tree, at_most=1) == []
