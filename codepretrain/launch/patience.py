"""Patience with a storage that cannot be read for a while, for commands that follow a job."""

import time
from collections.abc import Callable
from typing import TypeVar

from codepretrain.errors import DamageError, UserError
from codepretrain.launch.troubles import Troubles

LIMIT_S = 600.0

T = TypeVar("T")


class Patience:
    """Takes failed reads for something that passes, says so, and gives up after a limit.

    Args:
      note: takes a line.
      limit_s: for how long reads may fail.
    """

    def __init__(
        self,
        note: Callable[[str], None],
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._limit_s = limit_s
        self._troubles = Troubles(note)
        self._since_s: float | None = None

    def read(self, function: Callable[[], T]) -> T | None:
        """Returns what a function returns, None if it cannot read now.

        Raises:
          DamageError: what it read is damaged.
          UserError: it could not read for longer than the limit.
        """
        now_s = time.monotonic()
        try:
            found = function()
        except DamageError:
            raise
        except UserError as error:
            self._since_s = now_s if self._since_s is None else self._since_s
            failed_s = now_s - self._since_s
            if failed_s >= self._limit_s:
                raise UserError(f"{error}; gave up after {failed_s:.0f} s") from error
            self._troubles.found([str(error)], now_s)
            return None
        self._since_s = None
        self._troubles.found([], now_s)
        return found
