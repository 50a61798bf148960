"""The commands that show a working directory: narrow encodings, missing and damaged contents."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from codepretrain.config.load import load_study
from codepretrain.config.parse import to_dict
from tests.conftest import ROOT, TINY


def test_show_batch_in_ascii(prepared: Path, tiny_overrides: list[str]) -> None:
    where = ["--config", str(TINY), "--workdir", str(prepared), *tiny_overrides]
    command = [
        sys.executable,
        "-m",
        "codepretrain",
        "show-batch",
        "--phase",
        "trunk",
        "--step",
        "3",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for flags in ([], ["--json"]):
        result = subprocess.run(
            [*command, *where, *flags], capture_output=True, text=True, cwd=ROOT, env=environment
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.isascii()
    assert json.loads(result.stdout)["phase"] == "trunk"


def test_a_step_beyond_the_phase(
    capsys: pytest.CaptureFixture[str], prepared: Path, tiny_overrides: list[str]
) -> None:
    where = ["--config", str(TINY), "--workdir", str(prepared), *tiny_overrides]
    assert main(["show-batch", "--phase", "trunk", "--step", str(2**62), *where]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steps 0 to 39" in captured.err


def verify_data(workdir: Path, overrides: list[str]) -> int:
    return main(["verify-data", "--config", str(TINY), "--workdir", str(workdir), *overrides])


def test_whole_data(
    capsys: pytest.CaptureFixture[str], prepared: Path, tiny_overrides: list[str]
) -> None:
    assert verify_data(prepared, tiny_overrides) == 0
    captured = capsys.readouterr()
    [tokenizer] = prepared.glob("data/*/tokenizer")
    [code] = prepared.glob("data/documents/code-*")
    [rows] = prepared.glob("data/rows/text-validation-*")
    for folder in (
        tokenizer,
        code,
        rows,
        tokenizer.parent / "held_out",
        tokenizer.parent / "evals",
    ):
        assert f"{folder}: every file is as it was written" in captured.out
    assert "Prepared data (tokenizer " in captured.out
    assert captured.err == ""


def test_damaged_data(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str]
) -> None:
    """A bit flipped in the rows, which keeps their size, and a file that is gone."""
    [rows] = workdir.glob("data/rows/text-train-*/part-00000/rows.records")
    contents = bytearray(rows.read_bytes())
    contents[len(contents) // 2] ^= 1
    rows.write_bytes(contents)
    [documents] = workdir.glob("data/documents/code-*/*/documents.arrayrecord")
    documents.unlink()
    assert verify_data(workdir, tiny_overrides) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert (
        f"{rows.parents[1]}: part-00000/rows.records was altered: its sha256 differs"
        in captured.err
    )
    assert f"{documents.parent}: documents.arrayrecord is missing" in captured.err
    [validation] = workdir.glob("data/rows/text-validation-*")
    assert f"{validation}: every file is as it was" in captured.out


def test_a_workdir_without_the_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_overrides: list[str]
) -> None:
    """Nothing is made where there was nothing."""
    assert verify_data(tmp_path / "wrong", tiny_overrides) == 2
    captured = capsys.readouterr()
    assert "there is no prepared data of this study at" in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "wrong").exists()


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").write_text("a file")
    monkeypatch.setattr("codepretrain.study.workspace.Workspace", None)
    assert main(["report", "--config", str(TINY), "--workdir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"cannot write to the folder of reports {tmp_path}/reports: Not a dir" in error


def test_a_report_of_several_studies(
    trained_copy: Path,
    tiny_overrides: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The trunk of `tiny` is the whole of another study: one run, by its fingerprint."""
    study = load_study(TINY, tiny_overrides)
    base = {"base": dataclasses.replace(study.phases["trunk"], parent=None)}
    other = dataclasses.replace(
        study, name="other", phases=base, variants={"branched": "base"}, baseline=None
    )
    files = []
    for one in (study, other):
        files += ["--config", str(tmp_path / f"{one.name}.json")]
        (tmp_path / f"{one.name}.json").write_text(json.dumps(to_dict(one)))
    where = ["--workdir", str(trained_copy)]
    assert main(["report", *files, *where, "--items"]) == 0
    printed = capsys.readouterr().out
    assert "1 of them shared: each is here once" in printed
    assert "variants that are other runs in each study, by the same name: branched" in printed
    reports = trained_copy / "reports"
    assert "other.json" in (reports / "tiny+other" / "index.html").read_text()
    index = json.loads((reports / "tiny+other" / "results.json").read_text())
    assert [one["names"] for one in index["shared"]] == [{"tiny": "trunk", "other": "base"}]
    assert index["new_costs"]["other"]["tokens"] == 0
    for name in ("tiny", "other"):
        assert (reports / name / "items" / "validation.csv").exists()
    assert main(["report", *files, *where, "--watch"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--watch: expected one --config file, got 2" in line
