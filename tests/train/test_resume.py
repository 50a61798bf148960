"""From which step a phase goes on: of the working directory, or of a local folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.checkpoint.local import files
from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.run import train_phases
from codepretrain.study.workspace import Workspace
from codepretrain.train import trainer
from tests.conftest import TINY


class Killed(Exception):
    """Stands for kill -9."""


@pytest.fixture
def local(tmp_path: Path, tiny_overrides: list[str]) -> StudyConfig:
    """Every third step is saved in a local folder."""
    return load_study(TINY, [*tiny_overrides, *options(tmp_path / "disk")])


def options(disk: Path, **others: Any) -> list[str]:
    fields = {"local_folder": disk, "local_interval_steps": 3, **others}
    return [f"--config.checkpoint.{name}={value}" for name, value in fields.items()]


def train(config: StudyConfig, workdir: Path) -> None:
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")


def killed_at(
    batch: int, config: StudyConfig, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trains until so many batches are made by this start."""
    whole, made = trainer.global_batch, 0

    def dies(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made > batch:
            raise Killed
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "global_batch", dies)
        with pytest.raises(Killed):
            train(config, workdir)


def steps(disk: Path) -> list[str]:
    return sorted(path.name for path in disk.glob("trunk-*/*/[0-9]*"))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same_end(config: StudyConfig, workdir: Path, trained: Path) -> None:
    ours, theirs = (Workspace(config, place).run_dir("trunk") for place in (workdir, trained))
    losses = [[one["loss"] for one in lines(run / "metrics.jsonl")] for run in (ours, theirs)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 40
    with (
        open_leaves(ours / "checkpoints" / "40") as one,
        open_leaves(theirs / "checkpoints" / "40") as other,
    ):
        assert one.shapes == other.shapes
        for name in one.shapes:
            assert np.asarray(one.read(name)).tobytes() == np.asarray(other.read(name)).tobytes()


def test_bits_are_those_of_an_unbroken_run_and_nothing_is_left_behind(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killed_at(13, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["12", "9"]
    killed_at(2, local, workdir, monkeypatch)  # before it saves again
    assert steps(tmp_path / "disk") == ["12", "9"]
    killed_at(11, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["18", "21"]  # beside the checkpoint of step 20
    train(local, workdir)
    told = capsys.readouterr().out
    for step in (12, 21):
        assert f"trunk: resuming from step {step} of a local checkpoint" in told
    assert not list((tmp_path / "disk").iterdir())
    assert_same_end(local, workdir, trained)


def test_a_newer_checkpoint_of_the_working_directory_comes_first(
    workdir: Path,
    tiny_overrides: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And begins another history: older copies, wherever they come from, are not used again."""
    config = load_study(
        TINY, [*tiny_overrides, *options(tmp_path / "disk", local_interval_steps=19)]
    )
    killed_at(22, config, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["19"]
    kept = Path(shutil.copytree(tmp_path / "disk", tmp_path / "kept"))
    killed_at(1, config, workdir, monkeypatch)
    assert "trunk: resuming from step 20\n" in capsys.readouterr().out
    assert steps(tmp_path / "disk") == []
    shutil.copytree(kept, tmp_path / "disk", dirs_exist_ok=True)
    checkpoints = Workspace(config, workdir).run_dir("trunk") / "checkpoints"
    shutil.rmtree(checkpoints)
    (checkpoints.parent / "checkpoints.jsonl").unlink()
    killed_at(1, config, workdir, monkeypatch)
    assert "of a local checkpoint" not in capsys.readouterr().out


def test_a_damaged_checkpoint_gives_way_to_a_local_one_before_it(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killed_at(20, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["15", "18"]
    run = Workspace(local, workdir).run_dir("trunk")
    file = max((run / "checkpoints" / "20").rglob("d/*"), key=lambda path: path.stat().st_size)
    file.write_bytes(b"damaged")
    train(local, workdir)
    told = capsys.readouterr().out
    assert "trunk: resuming from step 18 of a local checkpoint" in told
    assert f"trunk: damaged checkpoint: {run}/checkpoints/20:" in told
    assert_same_end(local, workdir, trained)


def test_damage_is_named_and_the_one_before_is_used(
    workdir: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killed_at(13, local, workdir, monkeypatch)
    [part] = (tmp_path / "disk").glob("trunk-*/*/12/process-0/part-0.bin")
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    killed_at(1, local, workdir, monkeypatch)
    told = capsys.readouterr().out
    assert f"damaged local checkpoint of step 12: {part} differs from what was written" in told
    assert "trunk: resuming from step 9 of a local checkpoint" in told
    [part] = (tmp_path / "disk").glob("trunk-*/*/9/process-0/part-0.bin")
    (part.parent / "files.json").unlink()
    killed_at(1, local, workdir, monkeypatch)
    told = capsys.readouterr().out
    assert f"damaged local checkpoint: {part.parent}: the list of its files is missing" in told
    assert "resuming" not in told


def test_a_run_that_was_removed_does_not_come_back(
    workdir: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killed_at(13, local, workdir, monkeypatch)
    shutil.rmtree(workdir / "runs")
    killed_at(4, local, workdir, monkeypatch)
    assert "resuming" not in capsys.readouterr().out
    assert steps(tmp_path / "disk") == ["3"]


def test_a_full_disk_costs_the_local_checkpoints_alone(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = files.write
    written: list[int] = []

    def full(*arguments: Any) -> Any:
        if len(written) == 2:
            raise UserError("cannot write /disk/x: No space left on device")
        written.append(1)
        return write(*arguments)

    monkeypatch.setattr(files, "write", full)
    train(local, workdir)
    told = capsys.readouterr().out
    warning = "trunk: warning: no local checkpoints until the next start: cannot write /disk/x: "
    assert told.count(warning) == 1
    assert_same_end(local, workdir, trained)


def test_a_folder_that_cannot_be_written_to_is_a_mistake(
    workdir: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    config = load_study(TINY, [*tiny_overrides, *options(tmp_path / "file" / "disk")])
    with pytest.raises(UserError, match=r"cannot write to config.checkpoint.local_folder "):
        train(config, workdir)
    with pytest.raises(UserError, match=r"local_folder: expected the absolute path of a folder"):
        load_study(TINY, [*tiny_overrides, *options(Path("disk"))])


def test_a_start_without_the_folder_ends_the_history_of_its_copies(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    config: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killed_at(19, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["15", "18"]
    killed_at(19, config, workdir, monkeypatch)  # repeats the steps of the copies
    capsys.readouterr()
    train(local, workdir)
    assert "of a local checkpoint" not in capsys.readouterr().out
    assert_same_end(local, workdir, trained)


def test_copies_later_than_the_records_are_not_used(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The working directory came back from a copy, to its own address."""
    killed_at(11, local, workdir, monkeypatch)
    copy = Path(shutil.copytree(workdir / "runs", tmp_path / "copy", symlinks=True))
    killed_at(7, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["12", "15"]
    shutil.rmtree(workdir / "runs")
    shutil.copytree(copy, workdir / "runs", symlinks=True)
    capsys.readouterr()
    train(local, workdir)
    told = capsys.readouterr().out
    assert "of a local checkpoint" not in told
    assert ": a start of this run saved them that its records do not have" in told
    assert_same_end(local, workdir, trained)


def test_copies_later_than_the_metrics_are_not_used(
    workdir: Path,
    trained: Path,
    local: StudyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As where a file system lost the end of a file."""
    killed_at(11, local, workdir, monkeypatch)
    assert steps(tmp_path / "disk") == ["6", "9"]
    run = Workspace(local, workdir).run_dir("trunk")
    metrics = run / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:4]))
    train(local, workdir)
    told = capsys.readouterr().out
    assert "of a local checkpoint" not in told
    ignored = f"local checkpoints are ignored: they are of steps up to 9, and the metrics of {run}"
    assert f"trunk: {ignored} end at step 4" in told
    assert_same_end(local, workdir, trained)
