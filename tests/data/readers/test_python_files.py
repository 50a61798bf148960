from pathlib import Path

import pytest

from codepretrain.data.readers.python_files import distributions, license, python_files


def test_files_carry_their_distribution_and_no_local_path() -> None:
    files = python_files()
    assert len({file.name for file in files}) == len(files)
    numpy = [file for file in files if file.name == "site-packages/numpy/__init__.py"]
    assert len(numpy) == 1
    assert numpy[0].origin.startswith("numpy==")
    assert "BSD" in (numpy[0].license or "")
    assert not any("/test/" in file.name for file in files if file.name.startswith("stdlib"))
    assert not any(file.path in file.origin for file in files)


def test_distributions_are_in_order_and_named_once() -> None:
    names = [distribution.metadata["Name"] for distribution in distributions()]
    assert names == sorted(set(names))
    assert sum(license(distribution) is not None for distribution in distributions()) > 10


def test_the_wheel_of_a_launched_job_is_no_part_of_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's workers find it first on their path; `codepretrain prepare` elsewhere does not."""
    before = [one.name for one in distributions()]
    folder = tmp_path / "codepretrain-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: codepretrain\nVersion: 0.1.0\n")
    (folder / "RECORD").write_text("codepretrain/errors.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [one.name for one in distributions()] == before
    assert "codepretrain" not in before


def test_excluded_distributions_are_no_part_of_the_corpus() -> None:
    names = [one.metadata["Name"] for one in distributions(" NumPy ,ml-collections")]
    assert "numpy" not in names
    assert "ml_collections" not in names
    assert "jax" in names
    files = python_files("numpy")
    assert not any(file.name.startswith("site-packages/numpy/") for file in files)
    assert any(file.name.startswith("site-packages/jax/") for file in files)
