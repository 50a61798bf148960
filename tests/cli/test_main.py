"""The command line: what it prints, and one clear line with exit code 2 for each mistake."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY, Command


def fails_with(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Runs the command in this process; returns its one line of complaint."""
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("codepretrain: ")
    assert error.count("\n") == 1, error
    return error


def snapshot(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.model.num_layer=4"], "did you mean num_layers?"),
        (["--config.model.num_layers=four"], "expected a whole number, got 'four'"),
        (["--config.phases.trunk.mixture.math=0.1"], "there is no source 'math'"),
        (["--config.phases.trunk.mixture.text=-0.1"], "expected a weight of 0, or from 1e-9"),
        (["--confg", "x"], "did you mean --config?"),
    ],
)
def test_mistakes_in_the_config(
    capsys: pytest.CaptureFixture[str], workdir: Path, arguments: list[str], message: str
) -> None:
    before = snapshot(workdir)
    for command in ("plan", "prepare", "train", "run"):
        line = fails_with(capsys, command, "--config", TINY, "--workdir", workdir, *arguments)
        assert message in line
    assert snapshot(workdir) == before


def test_mistakes_in_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no command 'trian'; did you mean train?" in fails_with(
        capsys, "trian", "--config", TINY
    )
    assert "--config" in fails_with(capsys, "plan")
    assert "tinny.py does not exist" in fails_with(capsys, "plan", "--config", "tests/tinny.py")
    broken = tmp_path / "broken.py"
    broken.write_text("def get_config():\n    return {\n")
    assert "broken.py, line 2: " in fails_with(capsys, "plan", "--config", broken)


def test_what_does_not_fit_the_devices_is_told_before_data_is_prepared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_overrides: list[str]
) -> None:
    workdir = tmp_path / "new"
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides]
    for mistake, message in {
        "--config.execution.mesh.fsdp=3": "make the sizes multiply to 8, or set one to -1",
        "--config.training.batch_size=12": "8 or 16 would fit",
        "--config.execution.remat_policy=ful": "full",
        "--config.execution.attention_kernel=flash": "got 'flash'; did you mean splash?",
    }.items():
        assert message in fails_with(capsys, "run", *where, mistake)
    assert "--num-workers" in fails_with(capsys, "prepare", *where, "--num-workers=0")
    assert not workdir.exists()


def test_a_phase_or_step_that_is_not_there(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str]
) -> None:
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides]
    line = fails_with(capsys, "train", "--phase", "trnk", *where)
    assert "there is no phase 'trnk'; did you mean trunk?" in line
    line = fails_with(capsys, "show-batch", "--phase", "trunk", "--step", "40", *where)
    assert "--step: the phase has steps 0 to 39, got" in line


def test_a_budget_over_the_cap(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str]
) -> None:
    cap = "--config.data.sources.code.max_epochs=0.1"
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides, cap]
    line = fails_with(capsys, "run", *where)
    assert "tokens of source 'code'" in line
    assert "config.data.sources.code.max_epochs = 0.1 allows" in line
    assert "are missing" in line
    assert not (workdir / "runs").exists()


def test_data_that_is_not_prepared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_overrides: list[str]
) -> None:
    line = fails_with(
        capsys, "train", "--config", TINY, "--workdir", tmp_path / "new", *tiny_overrides
    )
    assert "run `codepretrain prepare` first" in line


def test_a_directory_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_overrides: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    where: list[str | Path] = [
        "--config",
        TINY,
        "--workdir",
        tmp_path / "file" / "workdir",
        *tiny_overrides,
    ]
    assert str(tmp_path / "file") in fails_with(capsys, "prepare", *where)


def test_a_tokenizer_that_changed_under_the_rows(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str]
) -> None:
    [path] = workdir.glob("data/*/tokenizer/tokenizer.json")
    path.write_text(path.read_text() + "\n")
    line = fails_with(capsys, "run", "--config", TINY, "--workdir", workdir, *tiny_overrides)
    assert "tokenizer.json" in line
    assert "prepare" in line


def test_a_whole_study_then_a_checkpoint_of_another_model(
    command: Command, workdir: Path, tiny_overrides: list[str]
) -> None:
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides]
    first = command("run", *where)
    assert first.returncode == 0, first.stderr
    assert (workdir / "reports" / "tiny" / "index.html").exists()
    runs = {path.name.split("-")[0]: path for path in (workdir / "runs").iterdir()}
    assert runs.keys() == {"trunk", "branch", "cooldown"}
    logged = [json.loads(x) for x in (runs["trunk"] / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in logged] == list(range(1, 41))
    assert logged[-1]["loss"] < 0.6 * logged[0]["loss"]

    before = snapshot(workdir / "runs")
    second = command("run", *where)
    assert second.returncode == 0, second.stderr
    assert "trunk: trained already" in second.stdout
    assert snapshot(workdir / "runs") == before

    wider = command("train", "--phase", "trunk", *where, "--config.model.d_ff=96")
    assert wider.returncode == 0, wider.stderr
    [other] = set((workdir / "runs").glob("trunk-*")) - {runs["trunk"]}
    shutil.rmtree(runs["trunk"] / "checkpoints")
    shutil.copytree(other / "checkpoints", runs["trunk"] / "checkpoints")
    (runs["trunk"] / "ledger.json").unlink()
    third = command("run", *where)
    assert third.returncode == 2
    assert "is of another model: " in third.stderr
    assert "Traceback" not in third.stderr
    assert (runs["trunk"] / "checkpoints" / "40").exists()


def run_mounted(mount: str, command: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Runs a command on the tiny study after `mount`, which this process alone sees."""
    unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*unshare, mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    words = [sys.executable, "-m", "codepretrain", command, "--config", TINY, *arguments]
    return subprocess.run(
        [*unshare, f'{mount} && exec "$@"', "sh", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_full_disk(tmp_path: Path, tiny_overrides: list[str]) -> None:
    """On a file system of a few hundred kB, mounted for this process alone."""
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=400k tmpfs {small}"
    result = run_mounted(mount, "prepare", "--workdir", small / "w", *tiny_overrides)
    assert result.returncode == 2, result.stderr
    complaint = [line for line in result.stderr.splitlines() if line.startswith("codepretrain:")]
    assert len(complaint) == 1
    assert "No space left" in complaint[0] or "no space left" in complaint[0]
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_disk_that_is_full_for_a_part_of_a_checkpoint(
    tmp_path: Path, workdir: Path, tiny_overrides: list[str]
) -> None:
    """Some arrays cannot be written while others are being written: one line says so."""
    small = tmp_path / "small"
    small.mkdir()
    mount = (
        f"mount -t tmpfs -o size=16m tmpfs {small} && cp -r {workdir}/. {small} && "
        f"left=$(df --output=avail -k {small} | tail -1) && "
        f"head -c $((left - 60))k /dev/zero > {small}/filler"
    )
    flags = ["--phase", "trunk", "--config.checkpoint.permanent_interval_steps=5"]
    result = run_mounted(mount, "train", "--workdir", small, *flags, *tiny_overrides)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("codepretrain: no space left for the checkpoint")
