"""Trunks × what follows them: the same continuations of several trunks, side by side.

A trunk is a phase from which the last phase of a variant starts. Continuations are equal if their
mixture, their tokens, the course of their learning rate and where they start in each source are,
whatever they are called: names of phases and variants decide nothing. The score at the trunk's own
end is "before", if its last phase starts there, whether or not that is a variant.

Replicate k of everything that follows a trunk descends from replicate k of the trunk, so a slope is
one observation per replicate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.schema import ContrastConfig
from codepretrain.report.arms import Arm, ScoresReader, find_arm
from codepretrain.report.averaged import Averaged
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import PhaseInput, StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.contrast_estimate import estimate_contrast
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.differences import Reader, arm_cell
from codepretrain.report.phases import by_phase

# Of the mixture by share, tokens, the rates over their peak, and the order of the data.
Signature = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What follows a trunk; a column. plan: None for nothing, the end of the trunk itself."""

    letter: str
    plan: PhaseInput | None


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """phases: continuation's letter → the phase; variants: its letter → those that end there."""

    name: str
    phases: Mapping[str, str]
    variants: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Point:
    """The score after one continuation of one trunk.

    Attributes:
      slope: the score minus that of the trunk's first continuation, replicate by replicate; None
        for that one.
      against_first: the slope minus that of the first trunk that has both; None for that one.
    """

    trunk: str
    letter: str
    phase: str
    cell: Cell
    slope: ContrastResult | None = None
    against_first: ContrastResult | None = None


@dataclass(frozen=True, kw_only=True)
class Slopes:
    row: MetricRow
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Trunks:
    """The trunks of a study; the first continuation of `columns` is "before" where there is one."""

    columns: tuple[Continuation, ...]
    trunks: tuple[Trunk, ...]
    slopes: tuple[Slopes, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "continuations": [
                {
                    "letter": one.letter,
                    "mixture": one.plan.mixture if one.plan else None,
                    "tokens": one.plan.tokens if one.plan else 0,
                    "learning_rate": one.plan.learning_rate if one.plan else None,
                    "data_order": one.plan.data_order if one.plan else None,
                }
                for one in self.columns
            ],
            "trunks": [
                {"trunk": one.name, "phases": one.phases, "variants": one.variants}
                for one in self.trunks
            ],
            "points": [_point_json(of.row, one) for of in self.slopes for one in of.points],
        }


def _point_json(row: MetricRow, one: Point) -> dict[str, Any]:
    return {
        "evaluator": row.evaluator,
        "name": row.name,
        "trunk": one.trunk,
        "continuation": one.letter,
        "phase": one.phase,
        "runs": one.cell.runs,
        "step": one.cell.step,
        "digest": one.cell.digest,
        "value": one.cell.metric.value,
        "values": one.cell.values,
        "interval": one.cell.interval,
        "slope": one.slope.to_json() if one.slope else None,
        "against_first_trunk": one.against_first.to_json() if one.against_first else None,
    }


def find_trunks(
    results: StudyResults, comparison: Comparison, averages: Averaged | None, reader: Reader
) -> Trunks | None:
    """Returns the slopes of a study's averages, or of its primary metrics without any.

    None if no two variants share a trunk.
    """
    columns, trunks = trunks_of(results)
    if not trunks:
        return None
    read: ScoresReader = reader.of
    if averages is not None and averages.comparison.headline_rows:
        rows = averages.comparison.headline_rows
        phases, read = by_phase(averages.results), averages.averages.read
    else:
        rows, phases = comparison.headline_rows, by_phase(results)
    slopes = tuple(_slopes(phases, row, trunks, Reader(read, reader.problems)) for row in rows)
    measured = {point.letter for of in slopes for point in of.points}
    slopes = tuple(of for of in slopes if any(point.slope for point in of.points))
    if not slopes:
        return None
    columns = tuple(one for one in columns if one.letter in measured)
    return Trunks(columns=columns, trunks=trunks, slopes=slopes)


def trunks_of(results: StudyResults) -> tuple[tuple[Continuation, ...], tuple[Trunk, ...]]:
    """Returns the continuations, those of most trunks first, and the trunks.

    A trunk of a single variant is there if a trunk of several has the same continuation. Averages
    are no continuations: they join several, or points of one.
    """
    plans: dict[Signature, PhaseInput] = {}
    phases: dict[tuple[str, int], dict[Signature, str]] = {}
    ends: dict[str, list[str]] = {}  # the last phase's run → the variants
    names: dict[tuple[str, int], str] = {}
    for variant in results.spec.variants:
        path = results.path(variant)
        last = path[-1]
        ends.setdefault(last.plan.run_dir, []).append(variant)
        if len(path) < 2 or last.plan.members:  # an average starts from no single phase
            continue
        trunk = path[-2]
        key = trunk.plan.run_dir, last.plan.parent_step or trunk.plan.steps
        names[key] = trunk.name
        of_trunk = phases.setdefault(key, {})
        if key[1] == trunk.plan.steps:
            of_trunk.setdefault((), trunk.name)
        signature = _signature(last.plan)
        while _is_another(results, of_trunk.get(signature), last.plan):
            signature = (*signature, "again")
        of_trunk.setdefault(signature, last.name)
        plans.setdefault(signature, last.plan)
    variants_of = {
        key: {
            signature: tuple(ends.get(results.runs[phase].plan.run_dir, ()))
            for signature, phase in of.items()
        }
        for key, of in phases.items()
    }
    phases = _beside(phases, variants_of)
    plans = {s: plan for s, plan in plans.items() if any(s in of for of in phases.values())}
    if not phases:
        return (), ()
    counts = {s: sum(s in of for of in phases.values()) for s in plans}
    order = [(), *sorted(plans, key=lambda signature: -counts[signature])]
    letters = {signature: _letter(place) for place, signature in enumerate(order)}
    trunks = tuple(
        Trunk(
            name=_named(names, key),
            phases={letters[s]: of[s] for s in order if s in of},
            variants={letters[s]: variants_of[key][s] for s in order if s in of},
        )
        for key, of in phases.items()
    )
    columns = tuple(Continuation(letter=letters[s], plan=plans.get(s)) for s in order)
    return columns, trunks


def _beside(
    phases: Mapping[tuple[str, int], dict[Signature, str]],
    variants_of: Mapping[tuple[str, int], Mapping[Signature, tuple[str, ...]]],
) -> dict[tuple[str, int], dict[Signature, str]]:
    """Returns the trunks of several variants, and those with one of their continuations."""
    shared = {key for key, of in variants_of.items() if sum(map(bool, of.values())) > 1}
    continuations = {s for key in shared for s in phases[key] if s}
    return {key: of for key, of in phases.items() if key in shared or continuations & of.keys()}


def _signature(plan: PhaseInput) -> Signature:
    stages = tuple(
        (
            stage["start_tokens"],
            tuple(
                sorted(
                    (source, round(share, 4))
                    for source, share in plan.shares_at(stage["start_tokens"]).items()
                    if share
                )
            ),
        )
        for stage in plan.mixture
    )
    peak = plan.learning_rate["peak"] or 1.0
    rates = tuple(round(plan.learning_rate[name] / peak, 3) for name in ("start", "end"))
    return stages, plan.tokens, rates, plan.data_order


def _is_another(results: StudyResults, phase: str | None, plan: PhaseInput) -> bool:
    """Returns whether `phase` is there, and another run than the plan's."""
    return phase is not None and results.runs[phase].plan.run_dir != plan.run_dir


def _letter(place: int) -> str:
    return chr(ord("A") + place - 1) if place else "before"


def _named(names: Mapping[tuple[str, int], str], key: tuple[str, int]) -> str:
    """Returns the trunk's name, with the step where several continuations start at others."""
    steps = [other for other in names if other[0] == key[0]]
    return names[key] if len(steps) == 1 else f"{names[key]} at step {key[1]:,}"


def _slopes(
    phases: StudyResults,
    row: MetricRow,
    trunks: Sequence[Trunk],
    reader: Reader,
) -> Slopes:
    points: list[Point] = []
    firsts: dict[tuple[str, str], dict[str, Arm]] = {}  # continuations → arms of the first trunk
    for trunk in trunks:
        found = {letter: find_arm(phases, phase, row) for letter, phase in trunk.phases.items()}
        arms = {letter: arm for letter, arm in found.items() if arm is not None}
        base = next(iter(arms), "")
        for letter, arm in arms.items():
            slope, against = None, None
            if letter != base:
                terms = [(arm, 1.0), (arms[base], -1.0)]
                slope = _contrast(row, terms, reader)
                other = firsts.setdefault((base, letter), arms)
                if other is not arms:
                    terms += [(other[letter], -1.0), (other[base], 1.0)]
                    against = _contrast(row, terms, reader)
            points.append(
                Point(
                    trunk=trunk.name,
                    letter=letter,
                    phase=trunk.phases[letter],
                    cell=arm_cell(arm, reader),
                    slope=slope,
                    against_first=against,
                )
            )
    return Slopes(row=row, points=tuple(points))


def _contrast(row: MetricRow, terms: Sequence[tuple[Arm, float]], reader: Reader) -> ContrastResult:
    """Returns a weighted sum of arms, which was not registered."""
    config = ContrastConfig(
        metric=f"{row.evaluator}/{row.name}",
        direction="different",
        weights={arm.variant: weight for arm, weight in terms},
    )
    arms = {arm.variant: arm for arm, _ in terms}
    return estimate_contrast("slope", config, row, arms, reader.of)
