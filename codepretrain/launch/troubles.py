"""Lines about what fails for a while: the first failure, reminders, and its end."""

from collections.abc import Callable, Sequence

REMINDER_S = 60.0  # of a process's own output
EVENT_REMINDER_S = 600.0  # where each line is an event of the job, which are kept and read again
_PATIENCE_S = 10.0  # for an answer


class Troubles:
    """Notes what fails, without a line for each repetition.

    Args:
      note: takes a line.
      what: the name of what fails.
      reminder_s: between two lines about one failure.
    """

    def __init__(
        self,
        note: Callable[[str], None],
        *,
        what: str = "the storage",
        reminder_s: float = REMINDER_S,
    ) -> None:
        self._note, self._what, self._every_s = note, what, reminder_s
        self._since_s: float | None = None
        self._noted_s = 0.0
        self._last: tuple[str, ...] = ()
        self._waited_s = 0.0

    def found(self, problems: Sequence[str], now_s: float) -> None:
        """Takes the problems of one try, none if it succeeded."""
        self._waited_s = 0.0
        if not problems:
            if self._since_s is not None:
                self._note(f"{self._what} works again, after {now_s - self._since_s:.0f} s")
            self._since_s, self._last = None, ()
            return
        is_new = self._since_s is None or tuple(problems) != self._last
        if self._since_s is None:
            self._since_s = now_s
        if is_new or now_s - self._noted_s >= self._every_s:
            for problem in problems:
                self._note(f"{problem}; tries again")
            self._noted_s = now_s
        self._last = tuple(problems)

    def waits(self, what: str, seconds: float) -> None:
        """Takes for how long an answer has been waited for."""
        if seconds - self._waited_s >= (_PATIENCE_S if self._waited_s == 0.0 else self._every_s):
            self._waited_s = seconds
            self._note(f"{what} for {seconds:.0f} s")
