"""The noise of each primary metric: between replicates, and over the last checkpoints of a run."""

from dataclasses import dataclass

import numpy as np

from codepretrain.inference import effects, noise
from codepretrain.inference.effects import Effect
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import Arm, find_arm, share_a_run
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.wording import NOT_THERE, label, number, scale_of

LAST = 5  # checkpoints


@dataclass(frozen=True, kw_only=True)
class MetricNoise:
    """The noise of one metric; None where it is unknown.

    Attributes:
      run_sd: between replicates, pooled over variants.
      num_runs: that it is from.
      checkpoint_sd: over the last `LAST` evaluations of a variant's last phase, pooled over runs.
      signal_to_noise: the largest difference between variants over `checkpoint_sd`.
    """

    row: MetricRow
    run_sd: Effect | None
    num_runs: int
    checkpoint_sd: float | None
    signal_to_noise: float | None


def metric_noise(results: StudyResults, comparison: Comparison) -> list[MetricNoise]:
    """Returns the noise of the primary metrics of which some is known."""
    found = [_noise(results, row) for row in comparison.headline_rows]
    return [one for one in found if one.run_sd is not None or one.checkpoint_sd is not None]


def noise_rows(results: StudyResults, comparison: Comparison) -> list[dict[str, str]]:
    """Returns the noise of the primary metrics as text."""
    return [_view(one, comparison) for one in metric_noise(results, comparison)]


def run_noise(results: StudyResults, row: MetricRow) -> tuple[Effect | None, int]:
    """Returns σ_run of a metric, pooled over variants, and the number of runs that it is from.

    Runs that several variants end in count once. Variants whose runs share a start have no
    independent replicates, and are left out.
    """
    replicated = [arm for arm in _arms(results, row) if len(set(arm.starts)) == len(arm.starts) > 1]
    if not replicated:
        return None, 0
    spread = effects.run_spread([_as_scores(arm) for arm in replicated])
    return spread, sum(len(arm.runs) for arm in replicated)


def _noise(results: StudyResults, row: MetricRow) -> MetricNoise:
    arms = _arms(results, row)
    run_sd, num_runs = run_noise(results, row)
    curves = [_last(run, row) for arm in arms for run in arm.runs]
    firsts = [_last(arm.runs[0], row) for arm in arms]
    has_curves = bool(curves) and min(map(len, curves)) == LAST
    return MetricNoise(
        row=row,
        run_sd=run_sd,
        num_runs=num_runs,
        checkpoint_sd=noise.checkpoint_noise(curves, LAST) if has_curves else None,
        signal_to_noise=noise.signal_to_noise(firsts, LAST)
        if has_curves and len(firsts) > 1
        else None,
    )


def _arms(results: StudyResults, row: MetricRow) -> list[Arm]:
    """Returns the arms of the variants; those that end in some of the same runs are one."""
    found: list[Arm] = []
    for variant in results.spec.variants:
        arm = find_arm(results, variant, row)
        if arm is None:
            continue
        for other in [one for one in found if share_a_run(one, arm)]:
            found.remove(other)
            arm = other.joined(arm)
        found.append(arm)
    return found


def _as_scores(arm: Arm) -> ArmScores:
    """Returns the metrics of the runs, as the scores of a single item."""
    return ArmScores(ids=["metric"], clusters=["metric"], values=np.array([arm.values]).T)


def _last(run: RunResults, row: MetricRow) -> list[float]:
    """Returns the metric at the last evaluations of a run, in order; fewer if there are fewer."""
    found = {
        e.step: e.metrics[row.name].value
        for e in run.evaluations
        if e.evaluator == row.evaluator and row.name in e.metrics
    }
    return [found[step] for step in sorted(found)[-LAST:]]


def _view(one: MetricNoise, comparison: Comparison) -> dict[str, str]:
    row = one.row
    scale, digits = scale_of(row)

    def text(value: float | None) -> str:
        return NOT_THERE if value is None else number(scale * value, digits=digits)

    spread = text(one.run_sd.value if one.run_sd else None)
    interval = ""
    if one.run_sd is not None:
        interval = f"{text(one.run_sd.interval.low)} – {text(one.run_sd.interval.high)}"
    ratio = one.signal_to_noise
    return {
        "label": label(row, comparison.rows),
        "unit": "points" if row.is_percentage else row.unit,
        "run_sd": spread,
        "interval": interval,
        "num_runs": str(one.num_runs or NOT_THERE),
        "checkpoint_sd": text(one.checkpoint_sd),
        "signal_to_noise": NOT_THERE if ratio is None else number(ratio, digits=1),
    }
