"""How much of a run's time made the progress that is left: goodput, over all its restarts.

    session 0   first_step 0 ────────────── 60 ┄┄┄ 75   killed; the newest checkpoint is of step 60
    session 1                               60 ──────────────── 100
                                               └ 15 steps were made twice

    productive   train seconds of each session × its steps that stand / its steps
    repeated     train seconds of steps that a later session made again
    away         seconds between one session's last line and the next one's start
    goodput      productive / (all sessions' wall time)
    elapsed      productive / (from the first session's start to the last one's end)

The other kinds are those of `metrics.TimeLedger`: program, compile, save, evaluate, wait_for_data.
What a killed session did after it last wrote its line is counted as away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Goodput:
    """Seconds by kind: those of the time ledger without "train", and productive, repeated, away."""

    seconds: Mapping[str, float]

    @property
    def goodput(self) -> float:
        """The productive share of the time that sessions ran."""
        return self._share(sum(s for kind, s in self.seconds.items() if kind != "away"))

    @property
    def elapsed(self) -> float:
        """The productive share of all time since the run began."""
        return self._share(sum(self.seconds.values()))

    def _share(self, total: float) -> float:
        return self.seconds["productive"] / total if total else 0.0


def goodput(sessions: Sequence[Mapping[str, Any]]) -> Goodput:
    """Returns where the time of a run went; sessions: lines of its `time.jsonl`, in order."""
    seconds = {"productive": 0.0, "repeated": 0.0, "away": 0.0}
    for index, session in enumerate(sessions):
        later = sessions[index + 1 :]
        first, last = session["first_step"], session["last_step"]
        standing = max(min([last, *(other["first_step"] for other in later)]) - first, 0)
        share = standing / (last - first) if last > first else 0.0
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
