"""Writes what a run leaves behind in many steps, without training it: for `run_growth.py`."""

import dataclasses
from datetime import UTC, datetime

import jax.numpy as jnp
from empty_run import make_evaluators

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.files.journal import Journal
from codepretrain.files.storage import StrPath, make_folder
from codepretrain.metrics.stopwatch import TIME_KINDS
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.stream.ledger import LedgerKeeper
from codepretrain.study.graph import TrainingPhase
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program

_SESSION_STEPS = 10  # between two records of the time: one every 10 s, at a second a step


def write_history(workspace: Workspace, name: str, num_steps: int) -> None:
    """Writes records, evaluations and checkpoints of a phase's first steps."""
    program = Program(workspace.config)
    state, evaluators = program.initial_state(seed=0), make_evaluators(workspace)
    run_dir, phase = workspace.run_dir(name), workspace.phases[name]
    assert isinstance(phase, TrainingPhase), name
    identity = workspace.identity(name)
    ledger = LedgerKeeper(workspace.row_order(name), workspace.stores)
    checkpoints = Checkpoints(run_dir / "checkpoints", workspace.checkpoint_policy(name))
    make_folder(run_dir)
    write_sessions(run_dir / "time.jsonl", num_steps)
    with MetricsWriter(run_dir, workspace.config.logging, name) as writer:
        step_tokens = phase.tokens // phase.num_steps
        for step in range(1, num_steps + 1):
            tokens = step * step_tokens
            writer.log_step(step_record(step, tokens, phase.learning_rate(step - 1)))
            for one in evaluators:
                if one.is_due(step, at_end=False):
                    one.record(state.params, writer, run_dir, step=step, tokens=tokens)
            if checkpoints.is_permanent(step):
                at_step = ledger.advance_to(step).to_json()
                state = dataclasses.replace(state, step=jnp.int32(step))
                checkpoints.save(step, state, ledger=at_step, identity=identity)
    checkpoints.close()


def write_sessions(path: StrPath, num_steps: int) -> None:
    """Writes a session's records of the time, as `metrics/time_ledger.py` does."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with Journal(path) as journal:
        for step in range(_SESSION_STEPS, num_steps + 1, _SESSION_STEPS):
            seconds = dict.fromkeys(TIME_KINDS, step / 3)
            record = {"session": 0, "started_at": started_at, "first_step": 0, "last_step": step}
            journal.append({**record, "seconds": seconds, "wall_s": sum(seconds.values())})


def step_record(step: int, tokens: int, rate: float) -> dict[str, object]:
    """Returns a record as `train/step_log.py` writes it."""
    record: dict[str, object] = {
        "step": step,
        "tokens": tokens,
        "learning_rate": rate,
        "loss": 2.0 + 1 / 3 / step,
        "z_loss": 1e-4 / 3,
        "num_targets": 2_095_104.0,
        "gradient_norm": 1 / 3,
        "parameter_norm": 1000 / 3,
        "skipped": False,
        "num_skipped": 0,
        "num_consecutive_skipped": 0,
    }
    if step % 10 == 0:
        rates = {"tokens_per_s": 2e6 / 3, "wait_share": 0.001 / 3, "mfu": 0.4 / 3}
        record |= {**rates, "goodput": 0.9 / 3}
    return record
