"""One phase to train, in terms of streams and steps."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files.differences import differences
from codepretrain.rows.store import RowStore
from codepretrain.stream.order import RowOrder
from codepretrain.train.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseRun:
    """The trainer's description of a phase.

    Attributes:
      identity: what the phase's fingerprint hashes; stored with every checkpoint and compared.
      parent_digest: the ledger's digest at the branch point.
      policy: which checkpoints are kept.
      initial_state: makes the state of step 0, from random parameters or from the parent.
      stop_step: train up to this step.
      is_rebuild: recreate a checkpoint of a run that is already recorded.
      retrain_lost: train again what lost checkpoints held.
      check_hold: raises if the run is no longer held; process 0 calls it before each commit of a
        checkpoint.
      provenance: what this start runs on, for `starts.jsonl`.
      profile_steps: steps to profile, 0 for none.
      attempt: names this attempt to train the phase; empty without a supervisor.
      expected_step: a step that was saved; resuming from an earlier one is an error.
    """

    name: str
    config: StudyConfig
    order: RowOrder
    learning_rate: Callable[[int], float]
    weight_decay: float
    run_dir: epath.Path
    identity: Mapping[str, Any]
    stores: Mapping[str, RowStore]
    parent_digest: str
    policy: CheckpointPolicy
    initial_state: Callable[[], TrainState]
    stop_step: int
    is_rebuild: bool = False
    retrain_lost: bool = False
    check_hold: Callable[[], None] = lambda: None
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    profile_steps: int = 0
    expected_step: int = 0
    attempt: str = ""

    @property
    def step_tokens(self) -> int:
        """Tokens of one step."""
        return self.order.batch_size * self.config.data.max_seq_len

    @property
    def num_steps(self) -> int:
        """Steps of the whole phase."""
        return self.order.num_steps


def check_identity(
    stored: Mapping[str, Any], current: Mapping[str, Any], *, where: epath.Path
) -> None:
    """Raises UserError, naming what differs, unless a checkpoint belongs to this phase."""
    found = differences(stored, current)
    if found:
        raise UserError(
            f"the checkpoint {where} belongs to another phase: {'; '.join(found)}. Move it away, "
            "or start in another --workdir"
        )
