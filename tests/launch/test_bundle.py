"""Bundles: the same content has the same hash, a dirty tree its diff, and no file a secret."""

import io
import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from etils import epath

import codepretrain
from codepretrain.config.load import load_study
from codepretrain.config.parse import parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch.bundle import Bundle, check_no_secrets, make_bundle, write_bundle
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.source_tree import copy_source
from codepretrain.launch.wheel import build_wheel, pack_installed
from tests.configs import SMALL_VALUES

STUDY = parse(StudyConfig, SMALL_VALUES)
SECRET = "hf_planted_in_the_environment"

SETUP = """
from setuptools import setup
setup(name="codepretrain", version="9.9", packages=["codepretrain"])
"""


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout of a package that is called codepretrain."""
    folder = tmp_path / "checkout"
    (folder / "codepretrain").mkdir(parents=True)
    (folder / "codepretrain" / "__init__.py").write_text("VALUE = 1\n")
    (folder / "setup.py").write_text(SETUP)
    (folder / "requirements.lock").write_text("jax==1\n")
    (folder / ".gitignore").write_text("ignored.py\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_diff_applies_whatever_git_is_told_to_print(checkout: Path, tmp_path: Path) -> None:
    """Colors, other prefixes and programs of the user's are for terminals."""
    for name, value in (
        ("color.ui", "always"),
        ("diff.noprefix", "true"),
        ("diff.external", "echo"),
        ("diff.mnemonicPrefix", "true"),
    ):
        git(checkout, "config", name, value)
    (checkout / "codepretrain" / "__init__.py").write_text("VALUE = 2\n")
    tree = copy_source(checkout, tmp_path / "scratch")
    (tmp_path / "change.diff").write_bytes(tree.diff)
    git(checkout, "checkout", "-q", ".")
    git(checkout, "apply", str(tmp_path / "change.diff"))
    assert (checkout / "codepretrain" / "__init__.py").read_text() == "VALUE = 2\n"


def test_a_checkout_that_git_refuses_is_not_taken_for_a_plain_folder(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit and its changes would be lost without a word."""
    (checkout / ".git" / "config").write_text("[core\n")
    with pytest.raises(UserError, match=r"git ls-files failed in .*: .*bad config"):
        copy_source(checkout, tmp_path / "scratch")


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "study.py"
    path.write_text(f"def get_config():\n    return {SMALL_VALUES!r}\n")
    return path


def bundle_of(checkout: Path, experiment: Path, **secrets: str) -> Bundle:
    return make_bundle(
        STUDY,
        LaunchConfig(),
        experiment=str(experiment),
        package=checkout / "codepretrain",
        secret_values=secrets,
    )


def module(bundle: Bundle, name: str = "codepretrain/__init__.py") -> str:
    with zipfile.ZipFile(io.BytesIO(bundle.files[bundle.wheel])) as archive:
        return archive.read(name).decode()


def test_the_same_content_has_the_same_hash(checkout: Path, experiment: Path) -> None:
    first = bundle_of(checkout, experiment)
    for path in checkout.rglob("*.py"):
        path.touch()
        path.chmod(0o600)
    assert bundle_of(checkout, experiment).sha256 == first.sha256
    assert "change.diff" not in first.files
    assert json.loads(first.files["provenance.json"])["commit"] == git(
        checkout, "rev-parse", "HEAD"
    )
    assert first.files["requirements.lock"] == b"jax==1\n"
    assert first.wheel == "codepretrain-9.9-py3-none-any.whl"


def test_a_dirty_tree_is_bundled_with_its_diff(checkout: Path, experiment: Path) -> None:
    """Applied to the commit, the diff gives the source that the wheel has."""
    clean = bundle_of(checkout, experiment)
    (checkout / "codepretrain" / "__init__.py").write_text("VALUE = 2\n")
    (checkout / "codepretrain" / "new.py").write_text("NEW = 1\n")
    (checkout / "codepretrain" / "ignored.py").write_text("IGNORED = 1\n")
    (checkout / ".env").write_text(f"HF_TOKEN={SECRET}\n")
    before = git(checkout, "status", "--porcelain"), (checkout / ".git" / "index").read_bytes()
    objects = sorted((checkout / ".git" / "objects").rglob("*"))
    bundle = bundle_of(checkout, experiment, HF_TOKEN=SECRET)
    assert bundle.sha256 != clean.sha256
    assert module(bundle) == "VALUE = 2\n"
    assert module(bundle, "codepretrain/new.py") == "NEW = 1\n"
    with pytest.raises(KeyError):
        module(bundle, "codepretrain/ignored.py")
    assert json.loads(bundle.files["provenance.json"])["is_edited"] is True
    assert b".env" not in bundle.files["change.diff"]
    # The checkout is as it was.
    assert before == (
        git(checkout, "status", "--porcelain"),
        (checkout / ".git" / "index").read_bytes(),
    )
    assert objects == sorted((checkout / ".git" / "objects").rglob("*"))
    assert not (checkout / "build").exists()
    git(checkout, "checkout", "-q", "--", ".")
    git(checkout, "clean", "-q", "-f")
    diff = checkout.parent / "change.diff"
    diff.write_bytes(bundle.files["change.diff"])
    git(checkout, "apply", str(diff))
    assert (checkout / "codepretrain" / "__init__.py").read_text() == "VALUE = 2\n"
    assert (checkout / "codepretrain" / "new.py").read_text() == "NEW = 1\n"


def test_a_removed_module_is_not_in_the_wheel(checkout: Path, experiment: Path) -> None:
    (checkout / "codepretrain" / "old.py").write_text("OLD = 1\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "second")
    (checkout / "codepretrain" / "old.py").unlink()
    bundle = bundle_of(checkout, experiment)
    with pytest.raises(KeyError):
        module(bundle, "codepretrain/old.py")
    assert b"deleted file" in bundle.files["change.diff"]


def test_a_checkout_without_git_has_no_commit(checkout: Path, tmp_path: Path) -> None:
    subprocess.run(["rm", "-rf", str(checkout / ".git")], check=True)
    tree = copy_source(checkout, tmp_path / "scratch")
    assert (tree.commit, tree.diff) == (None, b"")
    assert (tree.folder / "codepretrain" / "__init__.py").read_text() == "VALUE = 1\n"


def test_a_failing_build_is_one_line(checkout: Path, experiment: Path) -> None:
    (checkout / "setup.py").write_text("raise SystemExit('broken here')\n")
    with pytest.raises(UserError, match=r"cannot build a wheel of codepretrain: .*broken here"):
        bundle_of(checkout, experiment)


def test_a_bundle_is_written_once_and_its_study_is_the_study(
    checkout: Path, experiment: Path, tmp_path: Path
) -> None:
    bundle = bundle_of(checkout, experiment)
    folder = epath.Path(tmp_path / "jobs" / "a" / "bundle")
    path = write_bundle(folder, bundle)
    assert path.name == bundle.sha256
    assert write_bundle(folder, bundle) == path
    assert set(storage.names(path)) == {*bundle.files, "files.json"}
    assert load_study(path / "study.json") == STUDY
    assert parse(LaunchConfig, storage.read_json(path / "machine.json")) == LaunchConfig()
    assert storage.read_bytes(path / "experiment.py") == experiment.read_bytes()


@pytest.mark.parametrize("where", ["experiment", "code"])
def test_the_value_of_a_secret_enters_no_file(where: str, checkout: Path, experiment: Path) -> None:
    path = experiment if where == "experiment" else checkout / "codepretrain" / "__init__.py"
    path.write_text(f"{path.read_text()}\n# {SECRET}\n")
    with pytest.raises(UserError) as error:
        bundle_of(checkout, experiment, HF_TOKEN=SECRET)
    assert "contains the value of the environment variable HF_TOKEN" in str(error.value)
    assert SECRET not in str(error.value)


def test_short_values_are_not_searched_for() -> None:
    check_no_secrets({"a": b"12345678"}, {"API_KEY": "1234567"})
    with pytest.raises(UserError, match="a contains the value of the environment variable API_KEY"):
        check_no_secrets({"a": b"x12345678x"}, {"API_KEY": "12345678"})


def test_an_installation_is_packed_as_a_wheel_that_installs(tmp_path: Path, checkout: Path) -> None:
    """Installed, packed and installed again: the same files."""
    tree = copy_source(checkout, tmp_path / "scratch")
    name, content = build_wheel(tree.folder, tmp_path / "scratch")

    def installed(name: str, content: bytes, place: str) -> metadata.Distribution:
        (tmp_path / place).mkdir()
        wheel = tmp_path / place / name
        wheel.write_bytes(content)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        target = tmp_path / place / "site"
        subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
        (found,) = metadata.distributions(name="codepretrain", path=[str(target)])
        return found

    packed_name, packed = pack_installed(installed(name, content, "first"))
    assert packed_name == name
    again, same = pack_installed(installed(packed_name, packed, "second"))
    assert (again, same) == (packed_name, packed)
    first, second = tmp_path / "first" / "site", tmp_path / "second" / "site"
    assert {p.relative_to(first) for p in first.rglob("*.py")} == {
        p.relative_to(second) for p in second.rglob("*.py")
    }
    assert (second / "codepretrain" / "__init__.py").read_text() == "VALUE = 1\n"


def test_the_wheel_of_this_package_has_its_pages_and_tasks() -> None:
    bundle = make_bundle(
        STUDY,
        LaunchConfig(),
        experiment=str(Path(__file__).parents[2] / "experiments" / "demo.py"),
        package=Path(codepretrain.__file__).parent,
        secret_values={},
    )
    with zipfile.ZipFile(io.BytesIO(bundle.files[bundle.wheel])) as archive:
        names = set(archive.namelist())
    assert {"codepretrain/report/page.html", "codepretrain/launch/status_page.html"} <= names
    assert "codepretrain/launch/bundle.py" in names
    assert not any(name.startswith(("tests/", "experiments/")) for name in names)
    assert json.loads(bundle.files["study.json"]) == to_dict(STUDY)


def test_a_secret_with_characters_that_json_escapes_is_found() -> None:
    secret = 'pass"word\\of the\tkeeper'
    for content in (json.dumps({"a": secret}), json.dumps({"a": f"x{secret}é"}), secret):
        with pytest.raises(UserError, match="contains the value of the environment variable S"):
            check_no_secrets({"job.json": content.encode()}, {"S": secret})


@pytest.mark.parametrize(
    "content", ["+first line\n+second line", "key = 'first line\\nsecond line'"]
)
def test_a_secret_of_several_lines_is_found_in_a_diff(content: str) -> None:
    """An environment variable that was read from a file ends with a newline."""
    with pytest.raises(UserError, match="environment variable S"):
        check_no_secrets({"change.diff": content.encode()}, {"S": "first line\nsecond line\n"})
