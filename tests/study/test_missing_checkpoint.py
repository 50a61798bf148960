"""What a mistaken `evaluate` says, and that it writes nothing."""

import json
import shutil
from pathlib import Path

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.run import evaluate_phases
from codepretrain.study.workspace import Workspace

COMMAND = "codepretrain evaluate --config 'my tiny.py' --workdir=w --phase x --config.model.d_ff=9"
KEPT = "--config 'my tiny.py' --workdir w --config.model.d_ff=9"


def complaint(config: StudyConfig, workdir: Path, phase: str, step: int | None = None) -> str:
    with pytest.raises(UserError) as raised:
        evaluate_phases(Workspace(config, workdir), only=[phase], step=step, command_line=COMMAND)
    return str(raised.value)


def test_a_mistaken_evaluation_says_what_is_wrong_and_writes_nothing(
    trained_copy: Path, config: StudyConfig
) -> None:
    workspace = Workspace(config, trained_copy)
    runs = {name: workspace.run_dir(name) for name in workspace.phases}
    starts = (runs["trunk"] / "starts.jsonl").read_bytes()

    message = complaint(config, trained_copy, "cooldown")
    expected = f"is not trained yet: run codepretrain train --phase cooldown {KEPT}"
    assert message == f"phase 'cooldown' {expected}"
    assert not runs["cooldown"].exists()

    message = complaint(config, trained_copy, "trunk", step=7)
    assert message == (
        "phase 'trunk' has no complete checkpoint at step 7; available steps: 20, 40"
    )
    shutil.rmtree(runs["trunk"] / "checkpoints" / "40")
    message = complaint(config, trained_copy, "trunk")
    assert message.startswith("phase 'trunk': the checkpoint ")
    assert "/checkpoints/40 is missing; available steps: 20. Restore" in message
    assert message.endswith(f"codepretrain train --phase trunk {KEPT} --retrain-lost")
    (runs["trunk"] / "checkpoints" / "20" / "state" / "manifest.ocdbt").write_bytes(b"")
    assert "/checkpoints/20 is damaged; " in complaint(config, trained_copy, "trunk", step=20)
    assert (runs["trunk"] / "starts.jsonl").read_bytes() == starts

    (runs["trunk"] / "ledger.json").unlink()
    (runs["trunk"] / "checkpoints.jsonl").unlink()  # now a phase that was never trained so far
    message = complaint(config, trained_copy, "trunk")
    assert "is not trained to its end at step 40 yet; available steps: 20. Run" in message


def test_an_evaluation_with_nothing_missing_says_so(
    trained_copy: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Workspace(config, trained_copy).run_dir("trunk")
    starts = (run / "starts.jsonl").read_bytes()
    evaluate_phases(Workspace(config, trained_copy), only=["trunk"], command_line=COMMAND)
    assert "trunk: every evaluation of step 40 is recorded already" in capsys.readouterr().out
    assert (run / "starts.jsonl").read_bytes() == starts
    (run / "evals.jsonl").write_text("")
    evaluate_phases(Workspace(config, trained_copy), only=["trunk"], command_line=COMMAND)
    last = json.loads((run / "starts.jsonl").read_text().splitlines()[-1])
    assert (last["purpose"], last["command"]) == ("evaluate", COMMAND)
