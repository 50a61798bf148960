"""A variant's curves: its phases in order on one axis of tokens.

phase        pretrain                continue       cooldown
tokens    0 ────────────────┬──────────────────┬─────────────┤
                            branch point: later tokens of pretrain are not on the path

An average is a point at the tokens that its members have seen, after the curve of its first member.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codepretrain.report.collect import RunResults, StudyResults


@dataclass(frozen=True)
class Curve:
    """Values over tokens of a variant's path, in order."""

    tokens: tuple[float, ...]
    values: tuple[float, ...]

    def thinned(self, num_points: int) -> "Curve":
        """Returns at most `num_points` evenly spaced points, both ends included."""
        count = len(self.tokens)
        if count <= num_points:
            return self
        kept = [round(i * (count - 1) / (num_points - 1)) for i in range(num_points)]
        return Curve(tuple(self.tokens[i] for i in kept), tuple(self.values[i] for i in kept))


@dataclass(frozen=True)
class Span:
    """The part of a run that is on a variant's path: `start` to `end` in tokens of the path."""

    run: RunResults
    start: int
    end: int

    def position(self, step: int) -> int:
        """Returns the tokens of the path after `step` updates of the run."""
        return self.start + step * self.run.plan.step_tokens

    def mixture(self) -> list[tuple[int, int, Mapping[str, float]]]:
        """Returns (start, end, shares) for each stage of constant mixture on the path."""
        starts = [stage["start_tokens"] for stage in self.run.plan.mixture]
        edges = [*(self.start + tokens for tokens in starts), self.end]
        return [
            (begin, min(stop, self.end), self.run.plan.shares_at(begin - self.start))
            for begin, stop in itertools.pairwise(edges)
            if begin < self.end
        ]


def spans(results: StudyResults, variant: str, replicate: int = 0) -> list[Span]:
    """Returns the spans of the path of a variant's replicate, in order.

    Of the members of an average, the first one is on it.
    """
    runs = _line(results.replicates(variant)[replicate])
    starts = [run.plan.tokens_before for run in runs]
    ends = [*starts[1:], starts[-1] + runs[-1].plan.tokens]
    return [Span(*span) for span in zip(runs, starts, ends, strict=True)]


def _line(runs: Sequence[RunResults]) -> list[RunResults]:
    """Returns the runs of a path from its last one back, along the first member of an average."""
    if not any(run.plan.members for run in runs):
        return list(runs)
    by_name = {run.name: run for run in runs}
    line, name = [], runs[-1].name
    while name in by_name:
        run = by_name.pop(name)
        line.append(run)
        name = run.plan.members[0]["phase"] if run.plan.members else run.plan.parent or ""
    return line[::-1]


def training_curve(results: StudyResults, variant: str, name: str) -> Curve:
    """Returns a field of metrics.jsonl over the variant's path."""
    return _curve(
        (span.position(record["step"]), record[name])
        for span in spans(results, variant)
        for record in span.run.log
        if name in record and span.position(record["step"]) <= span.end
    )


def loss_metrics(results: StudyResults) -> dict[str, tuple[str, str, str]]:
    """Returns source → (evaluator, metric, unit) of its held-out loss, if it was measured."""
    found: dict[str, tuple[str, str, str]] = {}
    for run in results.runs.values():
        for evaluation in run.evaluations:
            for source in results.spec.rows:
                name = f"source/{source}/nats_per_token"
                if name in evaluation.metrics:
                    unit = evaluation.metrics[name].unit
                    found.setdefault(source, (evaluation.evaluator, name, unit))
    return {source: found[source] for source in results.spec.rows if source in found}


def loss_curves(results: StudyResults, variant: str, replicate: int = 0) -> dict[str, Curve]:
    """Returns source → held-out loss over the path of a variant's replicate."""
    curves = {}
    for source, (evaluator, name, _) in loss_metrics(results).items():
        curves[source] = _curve(
            (span.position(evaluation.step), evaluation.metrics[name].value)
            for span in spans(results, variant, replicate)
            for evaluation in span.run.evaluations
            if evaluation.evaluator == evaluator
            and name in evaluation.metrics
            and span.position(evaluation.step) <= span.end
        )
    return {source: curve for source, curve in curves.items() if curve.tokens}


def _curve(points: Iterable[tuple[float, float]]) -> Curve:
    ordered = sorted(points, key=lambda point: point[0])
    return Curve(tuple(x for x, _ in ordered), tuple(y for _, y in ordered))
