"""Goodput: the share of a run's time spent on progress that was kept, over all restarts.

    session 0   first_step 0 ────────────── 60 ┄┄┄ 75   killed; the newest checkpoint is of step 60
    session 1                               60 ──────────────── 100
                                               └ 15 steps were repeated

    productive   train seconds of each session × its steps that were kept / its steps
    repeated     train seconds of steps that a later session repeated
    away         seconds between the last record of a session and the start of the next one
    goodput      productive / (wall time of all sessions)

The other kinds are those of `stopwatch.py`. A session begins when its process is created, or, if
the process trained another run before, at the end of that run. So imports, restoring, and training
a parent again are part of the wall time. Time that a killed session spent after its last record
counts as away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Goodput:
    """Seconds by kind: those of the stopwatch without "train", and productive, repeated, away."""

    seconds: Mapping[str, float]

    @property
    def goodput(self) -> float:
        """The productive share of the time that sessions ran."""
        total = sum(s for kind, s in self.seconds.items() if kind != "away")
        return self.seconds["productive"] / total if total else 0.0


def goodput(sessions: Sequence[Mapping[str, Any]]) -> Goodput:
    """Returns where the time of a run went.

    Args:
      sessions: what `time_ledger.read_sessions` returns.
    """
    seconds = {"productive": 0.0, "repeated": 0.0, "away": 0.0}
    for index, session in enumerate(sessions):
        later = sessions[index + 1 :]
        first, last = session["first_step"], session["last_step"]
        num_kept = max(min([last, *(other["first_step"] for other in later)]) - first, 0)
        share = num_kept / (last - first) if last > first else 0.0
        for kind, spent in session["seconds"].items():
            if kind != "train":
                seconds[kind] = seconds.get(kind, 0.0) + spent
                continue
            seconds["productive"] += share * spent
            seconds["repeated"] += (1 - share) * spent
        if later:
            ended = _start(session) + session["wall_s"]
            seconds["away"] += max(_start(later[0]) - ended, 0.0)
    return Goodput(seconds=seconds)


def _start(session: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(session["started_at"]).timestamp()
