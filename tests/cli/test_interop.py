"""The commands `export` and `import`: mistakes that are found before anything is written."""

import json
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import TINY


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_model_with_another_tokenizer_or_name(
    capsys: pytest.CaptureFixture[str], prepared: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    where: list[str | Path] = ["--config", TINY, *tiny_overrides]
    [tokenizer] = prepared.glob("data/*/tokenizer/tokenizer.json")
    value = json.loads(tokenizer.read_text())
    value["model"]["merges"] = value["model"]["merges"][:-1]
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.json").write_text(json.dumps(value))
    command: list[str | Path] = ["import", "--model", model, "--name", "base", *where]
    line = fails(capsys, *command, "--workdir", prepared)
    assert "was trained with another tokenizer than the study's data" in line
    line = fails(capsys, *command, "--workdir", tmp_path / "new")
    assert f"use it: --config.data.tokenizer.path={model / 'tokenizer.json'}" in line
    listed = {"tokenizer.json": {"size": 1, "sha256": "of another file"}}
    (model / "files.json").write_text(json.dumps({"files": listed}))
    line = fails(capsys, *command, "--workdir", prepared)
    assert "tokenizer.json is not the tokenizer that was exported with the model" in line
    line = fails(capsys, "import", "--model", tmp_path / "no", "--name", "base", *where)
    assert "there is no such folder" in line
    line = fails(capsys, "import", "--model", model, "--name", "../base", *where)
    assert "--name: expected a name of lower-case letters" in line


def test_an_export_into_the_working_directory(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str]
) -> None:
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides]
    [data] = (path.parent for path in workdir.glob("data/*/settings.json"))
    for output in (workdir, workdir / "data", data, workdir / "runs" / "x"):
        line = fails(capsys, "export", "--phase", "trunk", "--output", output, *where)
        assert f"--output {output} is inside --workdir {workdir}" in line
    assert not (workdir / "runs").exists()
