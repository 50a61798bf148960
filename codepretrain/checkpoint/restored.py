"""What a restore found."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What `Checkpoints.restore` found; `state` is None if there is no whole checkpoint.

    Attributes:
      damaged: the skipped checkpoints by step, with what is wrong with each.
      is_local: the state is of a local checkpoint (`local/`).
    """

    step: int = 0
    state: Any = None
    ledger: Any = None
    identity: Any = None
    damaged: dict[int, str]
    is_local: bool = False
