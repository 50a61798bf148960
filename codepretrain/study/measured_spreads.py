"""What finished runs in the working directory say of the spread of a contrast."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from codepretrain.files import storage
from codepretrain.inference.power import design_of
from codepretrain.report.arms import Arm
from codepretrain.report.averaged import compare_averages
from codepretrain.report.collect import collect
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.score_reader import ScoreReader
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
    if not workspace.config.contrasts or not storage.names(workspace.workdir / "runs"):
        return {}
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
    weights = list(result.config.arms.values())
    if result.estimate is not None and sorted(weights) == [-1.0, 1.0]:
        design = design_of(result.estimate, 2)
        scale = math.sqrt(2) if result.estimate.is_paired else 1.0
        return Spread(
            run=Known(design.run_sd[0] / scale, source, False),
            item=Known(design.item_error, source, False),
            item_freedom=design.item_freedom,
            rest_sd=design.rest_sd / scale,
            num_items=result.num_items,
        )
    run_sd = _pooled(result.arms)
    error = (result.interval.high - result.interval.low) / 2 / _NORMAL
    error /= math.sqrt(sum(weight**2 for weight in weights) / 2)
    is_of_items = result.estimate is None and 0 < error < math.inf
    return Spread(
        run=None if run_sd is None else Known(run_sd, source, False),
        item=Known(error, source, False) if is_of_items else None,
        item_freedom=max(result.num_items - 1.0, 1.0),
        rest_sd=0.0,
        num_items=result.num_items,
    )


def _pooled(arms: Sequence[Arm]) -> float | None:
    """Returns the standard deviation between replicates, None if no arm has two."""
    deviations = [np.subtract(arm.values, np.mean(arm.values)) for arm in arms]
    freedom = sum(len(arm.values) - 1 for arm in arms)
    if not freedom:
        return None
    return math.sqrt(sum(float(of @ of) for of in deviations) / freedom)
