"""Trees and commits of a git repository: files of a tree, history, files that a commit changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from codepretrain.data.readers.git_objects import BROKEN, ObjectError, Objects

MAX_FILES = 2_000_000  # of one tree: a few small objects can state a tree of any size
MAX_DEPTH = 200
MAX_CHANGED_TREES = 100_000  # of one commit
TOO_MANY = "tree with too many files"

_TREE = "40000"
_FILES = ("100644", "100755", "100664")


@dataclass(frozen=True)
class Entry:
    """A file of a tree; links and submodules are no files."""

    path: str
    blob: str


@dataclass(frozen=True)
class Broken:
    """What could not be read: a path or a commit, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Commit:
    """A commit; `time_s` is the committer's clock."""

    name: str
    tree: str
    parents: tuple[str, ...]
    time_s: int
    message: str


@dataclass(frozen=True)
class Change:
    """A file that a commit changed; None: it was not there before, or is not there after."""

    path: str
    before: str | None
    after: str | None


def files(objects: Objects, tree: str) -> Iterator[Entry | Broken]:
    """Yields the files of a tree in the order of their paths, without reading them."""
    num_found = 0
    todo: list[tuple[str, str, str]] = [(_TREE, "", tree)]
    while todo:
        mode, path, name = todo.pop()
        num_found += 1
        if num_found > MAX_FILES or path.count("/") > MAX_DEPTH:
            yield Broken(path, TOO_MANY)
            return
        if mode in _FILES:
            yield Entry(path, name)
        elif mode == _TREE:
            try:
                entries = _entries(objects, name)
            except ObjectError as error:
                yield Broken(path, str(error))
                continue
            below = [(m, f"{path}/{n}".lstrip("/"), i) for n, (m, i) in entries.items()]
            todo += sorted(below, key=lambda entry: entry[1], reverse=True)


def head_commit(objects: Objects, name: str) -> Commit:
    """Returns the commit of an id, or the one that the tag of this id names.

    Raises:
      ObjectError: it is neither, or cannot be read.
    """
    kind, content = objects.read_any(name)
    for _ in range(10):  # tags of tags
        if kind != "tag":
            break
        name = content.partition(b"\n")[0].removeprefix(b"object ").decode(errors="replace")
        kind, content = objects.read_any(name)
    return read_commit(objects, name)


def read_commit(objects: Objects, name: str) -> Commit:
    """Returns a commit. Raises ObjectError if it cannot be read."""
    head, _, message = objects.read(name, "commit").partition(b"\n\n")
    fields = [line.partition(b" ")[::2] for line in head.split(b"\n")]
    values = dict(reversed(fields))
    parents = tuple(value.decode() for field, value in fields if field == b"parent")
    try:
        encoding = values.get(b"encoding", b"utf-8").decode()
        text = message.decode(encoding, errors="replace")
        time_s = int(values[b"committer"].split()[-2])
        return Commit(name, values[b"tree"].decode(), parents, time_s, text)
    except (LookupError, ValueError):
        raise ObjectError(BROKEN) from None


def history(objects: Objects, head: Commit) -> Iterator[Commit | Broken]:
    """Yields the commits that `head` descends from, and itself, from the oldest on."""
    found: dict[str, Commit | Broken] = {head.name: head}
    todo = [head]
    while todo:
        for parent in todo.pop().parents:
            if parent in found:
                continue
            try:
                commit = read_commit(objects, parent)
            except ObjectError as error:
                found[parent] = Broken(parent, str(error))
                continue
            found[parent] = commit
            todo.append(commit)
    yield from sorted(found.values(), key=_age)


def _age(item: Commit | Broken) -> tuple[int, str]:
    return (0, item.path) if isinstance(item, Broken) else (item.time_s, item.name)


def changes(objects: Objects, before: str | None, after: str, *, at_most: int) -> list[Change]:
    """Returns the files that differ between two trees, by path: `at_most + 1` of them, or all.

    Args:
      before: None is the empty tree.

    Raises:
      ObjectError: a tree cannot be read, or too many differ.
    """
    found: list[Change] = []
    todo: list[tuple[str, str | None, str | None]] = [("", before, after)]
    num_compared = 0
    while todo and len(found) <= at_most:
        folder, old_tree, new_tree = todo.pop()
        num_compared += 1
        if num_compared > MAX_CHANGED_TREES:
            raise ObjectError(TOO_MANY)
        old = _entries(objects, old_tree) if old_tree else {}
        new = _entries(objects, new_tree) if new_tree else {}
        for name in sorted({*old, *new}, reverse=True):
            was, now = old.get(name), new.get(name)
            if was == now:
                continue
            path = f"{folder}/{name}".lstrip("/")
            subtrees = _named(was, (_TREE,)), _named(now, (_TREE,))
            blobs = _named(was, _FILES), _named(now, _FILES)
            if subtrees != (None, None) and subtrees[0] != subtrees[1]:
                todo.append((path, *subtrees))
            if blobs != (None, None):
                found.append(Change(path, *blobs))
    return sorted(found, key=lambda change: change.path)


def _named(entry: tuple[str, str] | None, modes: tuple[str, ...]) -> str | None:
    return entry[1] if entry is not None and entry[0] in modes else None


def _entries(objects: Objects, name: str) -> dict[str, tuple[str, str]]:
    """Returns mode and object id by name."""
    content = objects.read(name, "tree")
    id_bytes = len(name) // 2
    entries, start = {}, 0
    while start < len(content):
        end = content.find(b"\0", start)
        if end < 0 or end + id_bytes >= len(content):
            raise ObjectError(BROKEN)
        mode, _, entry = content[start:end].partition(b" ")
        start = end + 1 + id_bytes
        text = entry.decode(errors="backslashreplace")
        entries[text] = (mode.decode(errors="replace"), content[end + 1 : start].hex())
    return entries
