import json
import shutil
import subprocess
from importlib import metadata

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.study import provenance
from codepretrain.study.provenance import code_version, source_digest
from codepretrain.train.program import Program
from tests.conftest import ROOT, TINY


@pytest.fixture
def tiny_config(tiny_overrides: list[str]) -> StudyConfig:
    return load_study(TINY, tiny_overrides)


def test_what_a_start_runs_on(tiny_config: StudyConfig) -> None:
    found = provenance.provenance(
        Program(tiny_config), command_line="codepretrain run", environment={"XLA_FLAGS": "x"}
    )
    assert json.loads(json.dumps(found)) == found  # it is JSON as it is
    assert found["num_devices"] == 8
    assert found["mesh"] == {"data": 1, "fsdp": 8, "tensor": 1}
    assert found["attention_kernel"] == "blocked"
    assert found["environment"] == {"XLA_FLAGS": "x"}
    assert found["packages"]["jax"] == found["packages"]["jaxlib"]


def test_an_edit_anywhere_in_the_package_marks_the_version(monkeypatch) -> None:
    """Git is asked about the whole package, not about the folder of this module alone."""
    asked: list[tuple[str, ...]] = []

    def answers(folder, *arguments: str) -> str:
        asked.append((str(folder), *arguments))
        return "0123456789ab" if arguments[0] == "rev-parse" else " M model/rope.py"

    monkeypatch.setattr(provenance, "_git", answers)
    assert code_version().endswith("+0123456789ab.edited")
    assert asked[1][0] == str(ROOT / "codepretrain")


def test_a_checkout_that_is_not_installed_has_a_version(monkeypatch) -> None:
    """It runs by PYTHONPATH alone; the commit says what it is."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert code_version().startswith("uninstalled")


def test_the_commit_of_a_repository_that_holds_an_installation_is_not_ours(
    monkeypatch, tmp_path
) -> None:
    """The package is installed in the virtual environment of the user's own project."""
    installed = tmp_path / ".venv" / "codepretrain" / "study" / "provenance.py"
    installed.parent.mkdir(parents=True)
    shutil.copy(provenance.__file__, installed)
    (tmp_path / ".gitignore").write_text(".venv\n")
    for arguments in (["init"], ["add", "."], ["commit", "--message", "theirs"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert "+" not in code_version()


def test_the_source_digest_changes_with_any_file_of_the_package(monkeypatch, tmp_path) -> None:
    package = tmp_path / "codepretrain"
    for name in ("study/provenance.py", "model/rope.py", "report/page.html"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    monkeypatch.setattr(provenance, "__file__", str(package / "study" / "provenance.py"))
    digests = [source_digest()]
    (package / "model" / "rope.pyc").write_text("compiled")
    assert source_digest() == digests[0]
    for change in (
        lambda: (package / "model" / "rope.py").write_text("edited"),
        lambda: (package / "report" / "page.html").write_text("edited"),
        lambda: (package / "model" / "rope.py").rename(package / "model" / "moved.py"),
    ):
        change()
        digests.append(source_digest())
    assert len(set(digests)) == 4


def test_without_git_the_version_is_the_packages(monkeypatch) -> None:
    def no_git(*_: object) -> str:
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance, "_git", no_git)
    assert "+" not in code_version()
