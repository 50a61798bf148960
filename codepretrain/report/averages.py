"""The study's averages over several evaluations: categories of scores, and totals over them.

    category  1/S Σ_s score s              S scores that are not excluded
    total     1/C Σ_c average of c         C categories

So a task counts the same however many items it has, and a category the same however many tasks. An
average at a step is there only if all its scores are: results of the study's evaluations of today,
at this step. Otherwise the reasons are.

The tasks are strata with known shares, and their clusters are the sample (`paired.py`). Clusters of
the same name are the same cluster, in several tasks too, such as a document from which two
evaluations made items: their errors are added before they are squared. Clusters of other names are
independent. A fraction without spread over its clusters, such as a task of which nothing was
solved, has the error of `statistics.adjusted_variance`. Where the scores of the items were not
kept, the tasks are taken as independent.
"""

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from codepretrain.config.averages import UNFILTERED, all_shares
from codepretrain.evals.estimate import Estimate, satterthwaite
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.metric import MetricSpec
from codepretrain.report.averaged_items import Part, combined
from codepretrain.report.cells import MetricRow, is_unanimous
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.paired import PairedScores, ratio_error
from codepretrain.report.score_reader import ScoreReader, key_of
from codepretrain.report.statistics import adjusted_variance

METRIC = "average"


@dataclass(frozen=True)
class Missing:
    """An average that is not there at a step of a phase, and why."""

    phase: str
    step: int
    is_end: bool
    average: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Averages:
    """The averages of a study.

    results: the study with its averages as if each were an evaluation of one metric.
    parts: what each of these is made of. reader: of their items.
    """

    results: StudyResults
    missing: tuple[Missing, ...] = ()
    problems: tuple[str, ...] = ()
    reader: ScoreReader
    parts: Mapping[tuple[str, str, int], Sequence[Part]] = field(default_factory=dict)

    def read(self, average: Evaluation, *, is_centered: bool = False) -> Mapping[str, PairedScores]:
        """Returns the scores of the items of an average, {} if they were not all kept.

        Args:
          is_centered: whether each score is (a - c) / (1 - c) for its chance c.

        Raises:
          ValueError: a file of item scores is damaged.
        """
        parts = self.parts[average.folder, average.evaluator, average.step]

        def make() -> dict[str, PairedScores]:
            found = combined(parts, self.reader.of, is_centered=is_centered)
            return {} if found is None else {METRIC: found}

        return self.reader.kept((*key_of(average), is_centered), make)


def average(results: StudyResults, reader: ScoreReader | None = None) -> Averages:
    """Returns the averages at every step at which one of their evaluations was recorded.

    Args:
      reader: of item scores; None for a new one.
    """
    reader = reader or ScoreReader()
    named = all_shares(results.spec.averages)
    metrics = _metrics(named)
    missing: list[Missing] = []
    problems: list[str] = []
    parts: dict[tuple[str, str, int], Sequence[Part]] = {}
    runs = {}
    for phase, run in results.runs.items():
        found = []
        steps = _steps(run, metrics) if named else []
        for step, (name, shares) in itertools.product(steps, named.items()):
            of_step, reasons = _parts(run, step, shares)
            if reasons:
                missing.append(Missing(phase, step, step == run.plan.steps, name, reasons))
                continue
            found.append(_evaluation(run, step, name, of_step, reader, problems))
            parts[run.plan.run_dir, name, step] = of_step
        runs[phase] = dataclasses.replace(run, evaluations=tuple(found), problems=())
    return Averages(
        results=dataclasses.replace(results, runs=runs, problems=()),
        missing=tuple(missing),
        problems=tuple(dict.fromkeys(problems)),
        reader=reader,
        parts=parts,
    )


def _metrics(named: Mapping[str, Mapping[str, float]]) -> dict[str, set[str]]:
    """Returns evaluator → the metrics of which there are averages."""
    found: dict[str, set[str]] = {}
    for shares in named.values():
        for score in shares:
            evaluator, _, name = score.partition("/")
            found.setdefault(evaluator, set()).add(name)
    return found


def _steps(run: RunResults, evaluators: Collection[str]) -> list[int]:
    """Returns the steps at which an evaluation of an average has a record, and the last one."""
    recorded = [(e.evaluator, e.step) for e in run.evaluations]
    steps = {step for evaluator, step in [*recorded, *run.unusable] if evaluator in evaluators}
    return sorted(steps | {run.plan.steps})


def _parts(
    run: RunResults, step: int, shares: Mapping[str, float]
) -> tuple[list[Part], tuple[str, ...]]:
    """Returns the parts of an average, and why it is not there."""
    if step == run.plan.steps and run.last_step < step:
        return [], (f"the phase is {run.status}",)
    own = {e.evaluator: e for e in run.evaluations if e.step == step}
    parts: list[Part] = []
    reasons: dict[str, None] = {}
    for score, share in shares.items():
        evaluator, _, name = score.partition("/")
        if (evaluator, step) in run.unusable:
            reasons[run.unusable[evaluator, step]] = None
        elif evaluator not in own:
            reasons[f"{evaluator} has no result"] = None
        elif name not in own[evaluator].metrics:
            reasons[f"the result of {evaluator} has no {name}"] = None
        else:
            parts.append(Part(share, own[evaluator], name))
    units = {(part.metric.unit, part.metric.direction) for part in parts}
    if len(units) > 1:
        spelled = ", ".join(sorted({unit for unit, _ in units}))
        reasons[f"its scores are in different units: {spelled}"] = None
    return parts, tuple(reasons)


def _evaluation(
    run: RunResults,
    step: int,
    name: str,
    parts: Sequence[Part],
    reader: ScoreReader,
    problems: list[str],
) -> Evaluation:
    """Returns an average as an evaluation, whose identity is that of its evaluations."""
    identity = {part.evaluation.evaluator: part.evaluation.digest for part in parts}
    scores = None
    try:
        scores = combined(parts, reader.of)
    except ValueError as error:
        problems.append(str(error))
    estimate = _estimate(parts, scores)
    clusters = {part.metric.cluster for part in parts}
    spec = MetricSpec(
        name=METRIC,
        unit=parts[0].metric.unit,
        direction=parts[0].metric.direction,
        cluster=clusters.pop() if len(clusters) == 1 else "cluster",
        is_primary=not name.startswith(UNFILTERED),
    )
    return Evaluation(
        step=step,
        evaluator=name,
        digest=identity_digest(identity),
        identity=identity,
        metrics={METRIC: spec.metric(estimate, null_value=_null_value(parts))},
        folder=run.plan.run_dir,
    )


def _null_value(parts: Sequence[Part]) -> float | None:
    """Returns the average of the null values, None if one is unknown."""
    nulls = [part.metric.null_value for part in parts]
    known = [part.share * null for part, null in zip(parts, nulls, strict=True) if null is not None]
    return sum(known) if len(known) == len(nulls) else None


def _estimate(parts: Sequence[Part], scores: PairedScores | None) -> Estimate:
    """Returns an average with its standard error; see the top of this file.

    Args:
      scores: the scores of all items, None if they were not kept.
    """
    variances, freedoms = [], []
    for part in parts:
        metric = part.metric
        error = metric.standard_error
        if is_unanimous(MetricRow.of(part.evaluation.evaluator, part.name, metric), metric):
            error = math.sqrt(adjusted_variance(metric.value, metric.count))
        elif scores is not None:
            continue
        variances.append((part.share * error) ** 2)
        freedoms.append(metric.count - 1.0 if scores is not None else metric.freedom)
    num_clusters = sum(part.metric.count for part in parts)
    if scores is not None:
        error, freedom = ratio_error(scores)
        variances.append(error**2)
        freedoms.append(freedom)
        num_clusters = len(set(scores.clusters))
    return Estimate(
        sum(part.share * part.metric.value for part in parts),
        math.sqrt(sum(variances)),
        num_clusters,
        sum(part.metric.num_items for part in parts),
        satterthwaite(variances, freedoms),
    )
