"""Lines about a storage that fails for a while: the first failure, a reminder, and its end."""

from collections.abc import Callable, Sequence

_REMINDER_S = 60.0
_PATIENCE_S = 10.0  # for an answer


class Troubles:
    """Notes what fails, without a line for each repetition.

    Args:
      note: takes a line.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._since_s: float | None = None
        self._noted_s = 0.0
        self._last: tuple[str, ...] = ()
        self._waited_s = 0.0

    def found(self, problems: Sequence[str], now_s: float) -> None:
        """Takes the problems of one try, none if it succeeded."""
        self._waited_s = 0.0
        if not problems:
            if self._since_s is not None:
                self._note(f"the storage works again, after {now_s - self._since_s:.0f} s")
            self._since_s, self._last = None, ()
            return
        is_new = self._since_s is None or tuple(problems) != self._last
        if self._since_s is None:
            self._since_s = now_s
        if is_new or now_s - self._noted_s >= _REMINDER_S:
            for problem in problems:
                self._note(f"{problem}; tries again")
            self._noted_s = now_s
        self._last = tuple(problems)

    def waits(self, what: str, seconds: float) -> None:
        """Takes for how long an answer has been waited for."""
        if seconds - self._waited_s >= (_PATIENCE_S if self._waited_s == 0.0 else _REMINDER_S):
            self._waited_s = seconds
            self._note(f"{what} for {seconds:.0f} s")
