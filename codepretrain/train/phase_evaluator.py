"""What the trainer knows of an evaluation. `evals/` is above this folder and implements it."""

from typing import Protocol

from etils import epath

from codepretrain.errors import UserError
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params


class EvaluationError(UserError):
    """An evaluation failed; the parameters are as good as before.

    Attributes:
      cause: that of its failure (`UserError`); "crash" for a defect.
    """

    def __init__(self, message: str, *, cause: str = UserError.cause) -> None:
        super().__init__(message)
        self.cause = cause


class PhaseEvaluator(Protocol):
    """A named evaluation that runs between the steps of a phase."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """Identifies everything besides the parameters that decides its result."""
        ...

    def is_due(self, step: int, *, at_end: bool) -> bool:
        """Returns whether it runs after `step` updates; `at_end`: they are the phase's last."""
        ...

    def record(
        self,
        params: Params,
        writer: MetricsWriter,
        run_dir: epath.Path,
        *,
        step: int,
        tokens: int,
    ) -> None:
        """Evaluates the parameters on every process, and records the result on process 0.

        Raises:
          EvaluationError: it failed, and the study wants to stop then.
        """
        ...
