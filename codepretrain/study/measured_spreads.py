"""What finished runs in the working directory say of the spread of a contrast."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from codepretrain.inference.estimate import Estimate
from codepretrain.report.arms import compared_together, replicates_of
from codepretrain.report.averaged import compare_averages
from codepretrain.report.collect import collect
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.score_reader import ScoreReader
from codepretrain.study.contrast_design import Layout, layout
from codepretrain.study.report_input import report_input
from codepretrain.study.spreads import Known, Spread
from codepretrain.study.workspace import Workspace

_NORMAL = 1.96  # half of a 95% interval in standard errors


def measured_spreads(workspace: Workspace, problems: list[str]) -> Mapping[str, Spread]:
    """Returns contrast → its spread, of those whose arms were evaluated at their end.

    Args:
      problems: gets a line for every file of a run that cannot be read.

    Raises:
      UserError: a file in the working directory is damaged.
    """
    results = collect(report_input(workspace, command_line=""))
    problems += [problem for run in results.runs.values() for problem in run.problems]
    reader = ScoreReader()
    averages = compare_averages(results, reader)
    found = decide_contrasts(results, averages, problems, read=reader.of)
    spreads = {one.name: spread_of(one) for one in found}
    return {name: spread for name, spread in spreads.items() if spread is not None}


def spread_of(result: ContrastResult) -> Spread | None:
    """Returns the spread behind a contrast; None if its arms were not measured.

    A difference between recipes has all parts. Otherwise the part of the runs is the variance
    between replicates, pooled over arms that have several, and the part of the items is all of the
    error of the checkpoints.
    """
    if not result.arms:
        return None
    counts = ", ".join(f"{arm.variant} {len(arm.runs)}" for arm in result.arms)
    source = f"{counts} finished runs"
    arms = result.arms
    of = layout(
        result.config, [arm.ancestors[0] for arm in arms], compared_together(result.config, arms)
    )
    labels = replicates_of(arms)
    variance = run_variance([(arm.values, of) for arm, of in zip(arms, labels, strict=True)])
    if result.estimate is not None:
        return spread_of_recipes(result.estimate, of, variance, source=source)
    error = (result.interval.high - result.interval.low) / 2 / _NORMAL
    error /= math.sqrt(of.item_factor / 2)
    return Spread(
        run=None if variance is None else Known(math.sqrt(variance), f"{source}, pooled", False),
        item=Known(error, source, False) if 0 < error < math.inf else None,
        item_freedom=max(result.num_items - 1.0, 1.0),
        rest_sd=0.0,
        num_items=result.num_items,
    )


def spread_of_recipes(
    estimate: Estimate, of: Layout, variance: float | None, *, source: str
) -> Spread | None:
    """Returns the spreads that would give the parts of the estimate's variance.

    Where arms are observed together, the correlation of their runs is what makes the spread of the
    arms that of the observations; at least 0 and at most 1.

    Args:
      variance: between runs, of `run_variance`.
      source: of all of them.
    """
    parts = estimate.components
    if not all(map(math.isfinite, (parts.seed, parts.item, parts.residual))):
        return None
    numbers = [min(estimate.num_replicates[place] for place in members) for members in of.sets]
    share = sum(q / n for q, n in zip(of.squared_weights(), numbers, strict=True))
    rest = parts.residual / share
    runs = max(parts.seed - parts.residual, 0.0)
    run, correlation = runs / share, None
    alike = sum(f / n for f, n in zip(of.run_factors(1.0), numbers, strict=True))
    if len(of.sets) < len(of.weights) and variance is not None:
        run = max(variance - rest, 0.0)
        if run > 0 and not math.isclose(alike, share):
            found = (runs / run - share) / (alike - share)
            correlation = Known(min(max(found, 0.0), 1.0), source, False)
    item = max(parts.item - parts.residual, 0.0)
    return Spread(
        run=Known(math.sqrt(run), f"{source}, pooled, without run × item", False),
        item=Known(math.sqrt(item / of.item_factor * 2), source, False),
        item_freedom=float(estimate.num_clusters - 1),
        rest_sd=math.sqrt(rest),
        num_items=estimate.num_items,
        correlation=correlation,
    )


def run_variance(
    arms: Sequence[tuple[Sequence[float] | np.ndarray, Sequence[str]]],
) -> float | None:
    """Returns the variance between single runs of a recipe, None if no arm has two trunks.

    Runs of one trunk differ by less than the recipe's. So it is the variance of trunk means, which
    has 1/m of the variance within a trunk of m runs, and the rest of that.

    Args:
      arms: the values of the runs of each, and the trunk of each.
    """
    between, within = [], []  # squares and degrees of freedom
    inverse = []
    for values, trunks in arms:
        groups = [
            np.array([v for v, t in zip(values, trunks, strict=True) if t == trunk])
            for trunk in dict.fromkeys(trunks)
        ]
        means = np.array([of.mean() for of in groups])
        if len(means) > 1:
            between.append((float(np.square(means - means.mean()).sum()), len(means) - 1))
            inverse += [1 / len(of) for of in groups]
        within += [(float(np.square(of - of.mean()).sum()), len(of) - 1) for of in groups]
    if not between:
        return None
    of_means = sum(square for square, _ in between) / sum(freedom for _, freedom in between)
    freedom = sum(of for _, of in within)
    of_trunk = sum(square for square, _ in within) / freedom if freedom else 0.0
    return of_means + of_trunk * (1 - float(np.mean(inverse)))
