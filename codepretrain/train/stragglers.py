"""Names hosts that keep the others waiting.

All processes step together, so a step takes the same time on each. What differs is the time that
the host itself needs before it hands the next step to its devices:

    work    Python, dispatch, logging: the time of the loop without waiting for data or devices
    data    waiting for the next batch

A slow device is not seen here: every process waits for it in the same collective operation.
"""

import statistics
from collections.abc import Mapping, Sequence

_FACTOR = 1.5  # times the median
_SHARE = 0.05  # of a step, by which it is above the median: shorter delays are hidden
_NUM_TIMES = 3  # logged steps in a row

Times = Mapping[str, Sequence[float]]  # "work" and "data" → seconds a step of each process


class Stragglers:
    """Remembers for how many logged steps in a row a process has been slow, and in what."""

    def __init__(self) -> None:
        self._num_times: dict[tuple[str, int], int] = {}

    def note(self, times: Times, *, step_s: float) -> dict[str, list[int]]:
        """Notes a logged step.

        Args:
          step_s: seconds of a whole step.

        Returns:
          The slow processes by what they are slow in; nothing where there are none.
        """
        self._num_times = {
            (kind, process): self._num_times.get((kind, process), 0) + 1
            for kind, seconds in times.items()
            for process in _outliers(seconds, step_s)
        }
        found: dict[str, list[int]] = {}
        for (kind, process), num_times in sorted(self._num_times.items()):
            if num_times >= _NUM_TIMES:
                found.setdefault(kind, []).append(process)
        return found


def _outliers(seconds: Sequence[float], step_s: float) -> list[int]:
    """Returns the processes that are far above the median; of two, above the other one."""
    median = statistics.median_low(seconds)
    limit = max(_FACTOR * median, median + _SHARE * step_s)
    return [process for process, value in enumerate(seconds) if value > limit]


def description(found: Mapping[str, Sequence[int]], times: Times) -> str:
    """Returns one line: who is slow, in what, and by how much."""
    words = {"work": "work on the host", "data": "waiting for data"}
    parts = []
    for kind, processes in found.items():
        median = statistics.median_low(times[kind])
        slow = ", ".join(f"process {p} {1000 * times[kind][p]:,.1f} ms" for p in processes)
        parts.append(f"{words[kind]}: {slow} a step, the median is {1000 * median:,.1f} ms")
    return "; ".join(parts)
