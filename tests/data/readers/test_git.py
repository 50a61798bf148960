import json
import pickle
import zlib
from pathlib import Path

import pytest

from codepretrain.data.readers import git_objects
from codepretrain.data.readers.commits import NO_CHANGE
from codepretrain.data.readers.git_listing import listing
from codepretrain.data.readers.git_objects import BROKEN
from codepretrain.data.readers.git_repositories import matching
from codepretrain.data.readers.reader import TOO_LARGE
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader
from tests.data.readers.repositories import Repository

NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": "1", "outputs": []}]})
FILES: dict[str, str | bytes | None] = {
    "a.py": "x = 1\n",
    "docs/b.md": "# B\n",
    "deep/er/c.cs": "class C {}\n",
    "n.ipynb": NOTEBOOK,
    "data.bin": b"\0\1",
    "latin.py": b"# \xe9\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "code")
    made.commit("Begin", FILES)
    return made


def git(path: Path | str, **options):
    return reader("git", path=str(path), **options)


def reasons(skipped: list) -> list[tuple[str, str]]:
    return [(s.origin.rpartition(":")[2], s.reason) for s in skipped]


def test_files_at_head(repository: Repository) -> None:
    (repository.path / "a.py").write_text("not committed")
    (repository.path / "link").symlink_to("a.py")
    repository.git("add", "link")
    head = repository.commit("Link", {"a.py": "x = 1\n"})
    made = git(repository.path, license="MIT")
    documents, skipped = read(made)
    assert [(d.id, d.text, d.language) for d in documents] == [
        (f"code@{head}:a.py", "x = 1\n", "python"),
        (f"code@{head}:deep/er/c.cs", "class C {}\n", "c-sharp"),
        (f"code@{head}:docs/b.md", "# B\n", "markdown"),
    ]
    root = repository.git("rev-list", "--max-parents=0", "HEAD").strip()
    assert {(d.group, d.license) for d in documents} == {(f"repository:{root}", "MIT")}
    assert documents[0].metadata == {"repository": "code", "commit": head, "path": "a.py"}
    assert reasons(skipped) == [("data.bin", "binary"), ("latin.py", "not UTF-8")]
    assert skipped[0].origin == f"{repository.path}@{head[:12]}:data.bin"
    assert pickle.loads(pickle.dumps(made.shards())) == made.shards()
    documents, skipped = read(git(repository.path, languages="markup"))
    assert [d.language for d in documents] == ["markdown"]
    assert {s.reason for s in skipped} == {"language is not chosen"}


def test_notebooks(repository: Repository) -> None:
    repository.commit("Broken", {"m.ipynb": "{"})
    documents, skipped = read(git(repository.path, contents="notebooks"))
    assert [d.text for d in documents] == ["<jupyter_start><jupyter_code>1"]
    assert reasons(skipped) == [("m.ipynb", "not JSON")]


def test_history(repository: Repository) -> None:
    group = f"repository:{repository.git('rev-parse', 'HEAD').strip()}"
    edit = repository.commit("Raise x\n\nToo low.", {"a.py": "x = 2\n"})
    new = repository.commit("New", {"deep/er/d.py": "d\n"})
    repository.commit("Two", {"a.py": "x = 3\n", "docs/b.md": "# C\n"})
    repository.commit("Remove", {"deep/er/d.py": None})
    repository.commit("Nothing", {})
    repository.num_commits += 1
    repository.git("update-index", "--chmod=+x", "a.py")
    repository.git("commit", "--quiet", "--message=Executable")
    documents, skipped = read(git(repository.path, contents="commits"))
    assert [(d.id, d.text, d.language, d.group) for d in documents] == [
        (
            f"code@{edit}:a.py",
            "<commit_before>x = 1\n<commit_msg>Raise x\n\nToo low.<commit_after>x = 2\n",
            "python",
            group,
        ),
        (
            f"code@{new}:deep/er/d.py",
            "<commit_before><commit_msg>New<commit_after>d\n",
            "python",
            group,
        ),
    ]
    assert [s.reason for s in skipped] == [
        "commit of too many files",
        "commit of too many files",
        "commit removes the file",
        "commit of no file",
        NO_CHANGE,
    ]
    more, _ = read(git(repository.path, contents="commits", max_files_per_commit=2))
    assert [d.text for d in more if "<commit_msg>Two" in d.text] == [
        "<commit_before>x = 2\n<commit_msg>Two<commit_after>x = 3\n",
        "<commit_before># B\n<commit_msg>Two<commit_after># C\n",
    ]


def test_merges_branches_and_tags(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit("Side", {"a.py": "x = 5\n"})
    repository.git("checkout", "--quiet", "main")
    repository.commit("Main", {"docs/b.md": "# M\n"})
    repository.git("merge", "--quiet", "side", "--message=Join")
    repository.git("tag", "--annotate", "v1", "side", "--message=v1")
    documents, skipped = read(git(repository.path, contents="commits"))
    assert len(documents) == 2
    assert [s.reason for s in skipped] == ["commit of too many files", "merge"]
    tagged, _ = read(git(repository.path, revision="v1", languages="python"))
    assert [d.text for d in tagged] == ["x = 5\n"]
    other = Repository(repository.path.parent / "other")
    other.commit("Only", {"a.py": "x = 6\n"})
    found, skipped = read(git(f"{repository.path.parent}/*", revision="v1", languages="python"))
    assert [d.text for d in found] == ["x = 5\n"]
    assert (str(other.path), "repository without this revision") in [
        (s.origin, s.reason) for s in skipped
    ]


def test_a_revision_that_no_repository_has_is_refused(repository: Repository) -> None:
    """`plan` tells it too: it lists files."""
    with pytest.raises(UserError, match=r"'git': revision: no repository .*code' has 'v1.0'$"):
        git(repository.path, revision="v1.0").list_files()


def test_repositories_of_every_kind_that_a_glob_matches(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    repository.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
    (tmp_path / "no repository").mkdir()
    Repository(tmp_path / "empty")
    documents, skipped = read(git(f"{tmp_path}/*", languages="python"))
    assert [d.id.partition("@")[0] for d in documents] == ["bare.git", "code", "tree"]
    assert ("empty", "repository without this revision") in [
        (Path(s.origin).name, s.reason) for s in skipped
    ]
    with pytest.raises(UserError, match=r"no git repository matches path '.*no repository'"):
        git(tmp_path / "no repository").shards()


def test_copies_of_a_repository_have_one_group(repository: Repository, tmp_path: Path) -> None:
    root = repository.git("rev-parse", "HEAD").strip()
    repository.commit("More", {"a.py": "x = 2\n"})
    repository.git("clone", "--quiet", ".", str(tmp_path / "copy"))  # its origin is a local path
    repository.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
    assert {d.group for d in read(git(f"{tmp_path}/*"))[0]} == {f"repository:{root}"}
    repository.git("remote", "add", "origin", "https://ann:secret@github.com/Owner/Name.git")
    for contents in ("files", "notebooks", "commits"):
        for document in read(git(repository.path, contents=contents))[0]:
            assert document.group == "repository:github.com/owner/name"
            assert document.other_groups == (f"repository:{root}",)
            expected = {"commits": "commit", "notebooks": "notebook", "files": None}[contents]
            assert document.metadata.get("format") == expected


def test_broken_objects_are_counted_and_the_rest_is_read(repository: Repository) -> None:
    middle = repository.commit("Middle", {"a.py": "x = 2\n", "b.py": "b\n"})
    repository.commit("Last", {"a.py": "x = 3\n"})
    repository.damage("HEAD:b.py")
    repository.object_file("HEAD:docs").unlink()
    altered = repository.object_file("HEAD:deep/er/c.cs")
    altered.chmod(0o644)
    altered.write_bytes(zlib.compress(b"blob 11\0class X {}\n"))
    documents, skipped = read(git(repository.path, languages="python, c-sharp, markdown"))
    assert [d.text for d in documents] == ["x = 3\n"]
    found = dict(reasons(skipped))
    assert {found["b.py"], found["deep/er/c.cs"], found[" docs"]} == {BROKEN}
    repository.damage(middle)
    documents, skipped = read(git(repository.path, contents="commits"))
    assert not documents
    assert [s.reason for s in skipped] == [BROKEN, BROKEN]
    repository.damage("HEAD")
    _, skipped = read(git(repository.path))
    assert [(s.origin, s.reason) for s in skipped] == [(str(repository.path), BROKEN)]


def test_a_damaged_pack(repository: Repository) -> None:
    repository.git("gc", "--quiet")
    [pack] = (repository.path / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:-60])
    documents, skipped = read(git(repository.path))
    assert len(documents) < len(FILES)
    assert BROKEN in {s.reason for s in skipped}


def test_a_shallow_clone_lacks_the_oldest_parents(repository: Repository, tmp_path: Path) -> None:
    repository.commit("One", {"a.py": "x = 2\n"})
    repository.commit("Two", {"a.py": "x = 3\n"})
    url = f"file://{repository.path}"
    repository.git("clone", "--quiet", "--depth=2", url, str(tmp_path / "shallow"))
    documents, skipped = read(git(tmp_path / "shallow", contents="commits"))
    assert [d.text.partition("<commit_msg>")[2] for d in documents] == ["Two<commit_after>x = 3\n"]
    assert [s.reason for s in skipped] == [BROKEN, BROKEN]


def test_a_large_file_is_not_held(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_objects, "MAX_OBJECT_BYTES", 1000)
    repository.commit("Large", {"a.py": "x" * 1001, "b.py": "y" * 1000})
    documents, skipped = read(git(repository.path, languages="python"))
    assert [len(d.text) for d in documents] == [1000]
    assert ("a.py", TOO_LARGE) in reasons(skipped)


def test_nothing_of_a_repository_is_run(repository: Repository, tmp_path: Path) -> None:
    """A partial clone whose missing object would be fetched through a command of its config."""
    trace = tmp_path / "ran"
    command = f"touch {trace}"
    for name, value in {
        "core.fsmonitor": command,
        "core.pager": command,
        "core.sshCommand": command,
        "diff.external": command,
        "filter.f.smudge": command,
        "diff.f.textconv": command,
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
        "remote.origin.url": f"ext::sh -c touch% {trace}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
    }.items():
        repository.git("config", name, value)
    hook = repository.path / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\n{command}\n")
    hook.chmod(0o755)
    (repository.path / ".git/info/attributes").write_text("* filter=f diff=f\n")
    repository.object_file("HEAD:a.py").unlink()
    for contents in ("files", "commits", "notebooks"):
        documents, skipped = read(git(repository.path, contents=contents))
        assert documents or skipped
    assert not trace.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contents": "commit"}, "contents: there is no 'commit'; did you mean commits"),
        ({"revision": "--output=x"}, "revision: expected a name, found '--output=x'"),
        ({"path": "gs://bucket/code"}, "path: expected a local folder, found 'gs://bucket/code'"),
        ({"languages": "pyton"}, "languages: there is no 'pyton'"),
    ],
)
def test_mistakes(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=f"reader 'git': {message}"):
        git(**{"path": ".", **options}).shards()


def test_the_version_is_that_of_the_commit_and_of_the_groups(repository: Repository) -> None:
    def version() -> str | None:
        made = git(repository.path)
        [file] = made.files(made.shards()[0])
        return file.version

    found = [version()]
    repository.git("remote", "add", "origin", "https://github.com/owner/name.git")
    found.append(version())
    repository.git("remote", "set-url", "origin", "git@github.com:Owner/name")
    assert version() == found[-1], "the same group"
    repository.git("remote", "set-url", "origin", "https://github.com/owner/other.git")
    found.append(version())
    repository.commit("Next", {"a.py": "x = 2\n"})
    found.append(version())
    assert None not in found
    assert len(set(found)) == len(found)


def test_several_paths_are_read_once_each_in_their_order(
    repository: Repository, tmp_path: Path
) -> None:
    other = Repository(tmp_path / "other")
    other.commit("Begin", {"o.py": "o\n"})
    paths = (str(other.path), str(tmp_path / "*"), f"{other.path}/")
    made = reader("git", path=paths, languages="python")
    documents, _ = read(made)
    assert [d.metadata["repository"] for d in documents] == ["other", "code"]
    assert [file.name for file in made.list_files()] == ["other", "code"]


def test_each_of_several_paths_must_match_and_names_are_unique(
    repository: Repository, tmp_path: Path
) -> None:
    Repository(tmp_path / "elsewhere" / "code").commit("Begin", {"a.py": "a\n"})
    missing = (str(repository.path), str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no git repository matches path '.*none'"):
        reader("git", path=missing).list_files()
    twice = (str(repository.path), str(tmp_path / "elsewhere" / "code"))
    with pytest.raises(UserError, match="are both named 'code': give a glob"):
        reader("git", path=twice).list_files()
    with pytest.raises(UserError, match="expected one folder or glob at least"):
        reader("git", path=()).list_files()


def test_the_size_of_the_code_is_that_of_its_files(repository: Repository, tmp_path: Path) -> None:
    [(_, directory, _)] = matching(str(tmp_path / "*"))
    sizes = {"": 6 + 4 + 11 + 4, "python": 6 + 4, "web_code": 6 + 4 + 11, "java": 0}
    for languages, expected in sizes.items():
        found = listing(directory, languages=languages)
        assert found is not None
        assert (sum(found.sizes.values()), found.num_missing) == (expected, 0), languages
    empty = Repository(tmp_path / "empty")
    assert listing(str(empty.path / ".git"), languages="") is None


def test_equal_files_count_once_and_missing_ones_are_counted(tmp_path: Path) -> None:
    made = Repository(tmp_path / "code")
    made.commit("Begin", {"a.py": "x = 1\n", "b/a.py": "x = 1\n", "c.py": "y\n", "d": "text\n"})
    made.object_file("HEAD:c.py").unlink()
    found = listing(str(made.path / ".git"), languages="python")
    assert found is not None
    assert found.paths == ("a.py", "b/a.py", "c.py", "d")
    assert (list(found.sizes.values()), found.num_missing) == ([6], 1)


def test_a_path_that_is_no_repository_says_what_it_is(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    repository.commit("More", {"below/b.py": "b\n"})
    for name, why in {
        "none": "it does not exist",
        "file": "it is a file",
        "folder": "it is a folder without .git",
        "code/below": f"it is a folder of the repository {repository.path}",
    }.items():
        with pytest.raises(UserError, match=f"no git repository matches path '.*{name}': {why}$"):
            matching(str(tmp_path / name))


@pytest.mark.parametrize("name", ["two words", "Größe-日本", "a[1]", "[b]*"])
def test_a_repository_with_an_unusual_name_is_found_by_its_path(tmp_path: Path, name: str) -> None:
    made = Repository(tmp_path / name)
    made.commit("Begin", {"a.py": "x = 1\n"})
    assert matching(str(made.path)) == [(str(made.path), str(made.path / ".git"), name)]
