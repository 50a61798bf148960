"""A plot of steps against time, a lane per stage: attempts, checkpoints, and how attempts ended.

train.trunk   ╱│     ╱●            a line per attempt, from the step it resumed from
             ╱ ✕ ╱╱╱               a mark where it ended, by cause
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codepretrain.launch.events import utc
from codepretrain.launch.history import AttemptHistory
from codepretrain.launch.status import JobStatus, StageStatus

# Class of the mark of each cause; causes of one class have one color.
MARKS: Mapping[str, str] = {
    "done": "done",
    "stopped": "stopped",
    "preemption": "preemption",
    "crash": "failure",
    "out_of_memory": "failure",
    "hang": "hang",
    "lost_host": "lost",
    "user_error": "fatal",
    "divergence": "fatal",
    "damage": "fatal",
}
_WIDTH, _LEFT, _RIGHT = 1000.0, 150.0, 14.0
_LANE, _PAD, _TOP, _BOTTOM = 64.0, 9.0, 6.0, 26.0
_NUM_TICKS = 6


@dataclass(frozen=True)
class _Frame:
    """Where times and steps are drawn."""

    begin_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        share = (time_s - self.begin_s) / max(self.end_s - self.begin_s, 1e-9)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def step_plot(status: JobStatus, attempts: Iterable[AttemptHistory]) -> str:
    """Returns the plot as SVG, empty before the first attempt."""
    attempts = list(attempts)
    if not attempts:
        return ""
    frame = _Frame(min(a.started_s for a in attempts), max(a.newest_s for a in attempts))
    lanes = [s for s in status.stages if any(a.stage == s.name for a in attempts)]
    height = _TOP + _LANE * len(lanes) + _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" class="plot" '
        'aria-label="steps against time">'
    ]
    for index, stage in enumerate(lanes):
        own = [a for a in attempts if a.stage == stage.name]
        parts += _lane(frame, stage, own, top=_TOP + _LANE * index)
    parts += _axis(frame, height - _BOTTOM)
    return "\n".join([*parts, "</svg>"])


def _lane(
    frame: _Frame, stage: StageStatus, attempts: Sequence[AttemptHistory], *, top: float
) -> list[str]:
    known = [step for a in attempts for step in (a.last_step, *(s for _, s in a.saves))]
    newest = [stage.step, *known]
    limit = stage.num_steps or max((step for step in newest if step is not None), default=0) or 1
    base = top + _LANE - _PAD

    def y(step: int) -> float:
        return round(base - min(1.0, step / limit) * (_LANE - 2 * _PAD), 1)

    label = html.escape(stage.name if len(stage.name) <= 22 else f"{stage.name[:21]}…")
    parts = [
        f'<line class="base" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{base:g}" y2="{base:g}"/>',
        f'<text class="name" x="0" y="{top + _LANE / 2:g}">{label}</text>',
        f'<text class="step" x="{_LEFT - 8:g}" y="{y(limit) + 4:g}">'
        f"{'' if stage.num_steps is None else f'{limit:,}'}</text>",
    ]
    for attempt in attempts:
        is_live = attempt.cause is None and attempt.id == stage.attempt
        points = _points(attempt, stage.step if is_live else attempt.last_step)
        drawn = " ".join(f"{frame.x(t):g},{y(s):g}" for t, s in points)
        parts.append(f'<polyline class="{"live" if is_live else "past"}" points="{drawn}"/>')
        parts += [
            f'<circle class="save" cx="{frame.x(t):g}" cy="{y(s):g}" r="1.6"/>'
            for t, s in attempt.saves
        ]
        if attempt.cause is not None:
            time_s, step = points[-1]
            parts.append(_mark(attempt, frame.x(time_s), y(step)))
    return parts


def _points(attempt: AttemptHistory, last_step: int | None) -> list[tuple[float, int]]:
    """Returns what is known of an attempt's steps: times and steps, in order."""
    first = attempt.resumed_step or attempt.expected_step or 0
    points = [(attempt.started_s, first)]
    if attempt.resumed_s is not None:
        points.append((attempt.first_step_s or attempt.resumed_s, first))
    points += attempt.saves
    end_s = attempt.closing_s or attempt.ended_s or attempt.newest_s
    points.append((max(end_s, points[-1][0]), max(points[-1][1], last_step or 0)))
    return points


def _mark(attempt: AttemptHistory, x: float, y: float) -> str:
    cause = attempt.cause or ""
    words = f"{attempt.id}: {cause.replace('_', ' ')}"
    if attempt.last_step is not None:
        words += f" at step {attempt.last_step:,}"
    if attempt.message:
        words += f"; {attempt.message}"
    return (
        f'<circle class="mark {MARKS.get(cause, "failure")}" cx="{x:g}" cy="{y:g}" r="4.5">'
        f"<title>{html.escape(words)}</title></circle>"
    )


def _axis(frame: _Frame, base: float) -> list[str]:
    is_long = frame.end_s - frame.begin_s > 86_400
    parts = []
    for index in range(_NUM_TICKS):
        time_s = frame.begin_s + (frame.end_s - frame.begin_s) * index / (_NUM_TICKS - 1)
        text = utc(time_s)[5:16].replace("T", " ") if is_long else utc(time_s)[11:19]
        anchor = {0: "start", _NUM_TICKS - 1: "end"}.get(index, "middle")
        parts.append(
            f'<text class="tick" x="{frame.x(time_s):g}" y="{base + 18:g}" '
            f'text-anchor="{anchor}">{text}</text>'
        )
    return parts
