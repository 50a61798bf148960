"""Checks of `config.contrasts` that need no evaluator.

`evals/contrast_scores.py` has the others: whether there is such a metric.
"""

import math

from codepretrain.config.parse import suggestion
from codepretrain.config.replicates import count_of_variant
from codepretrain.config.schema import ContrastConfig, StudyConfig
from codepretrain.errors import UserError


def check_contrasts(config: StudyConfig) -> None:
    """Raises UserError for a contrast that the study cannot decide, whatever it finds."""
    for name, contrast in config.contrasts.items():
        path = f"config.contrasts.{name}"
        _check_arms(config, path, contrast)
        check_metric(config, f"{path}.metric", contrast.metric)
        needs_margin = contrast.direction == "equivalent" or contrast.guarded
        if needs_margin and contrast.margin is None:
            what = "is tolerated" if contrast.guarded else "counts as equivalent"
            raise UserError(
                f"{path}.margin is missing: expected the largest difference that {what}, in the "
                f'unit of the metric, for direction "{contrast.direction}"'
            )
        if contrast.run_correlation is not None and contrast.variants and not contrast.is_paired:
            raise UserError(
                f"{path}.run_correlation: replicates of two variants count as independent unless "
                "they are paired: expected is_paired=True, or no run_correlation"
            )
        counts = {arm: count_of_variant(config, arm) for arm in contrast.arms}
        if contrast.is_paired and len(set(counts.values())) > 1:
            spelled = ", ".join(f"{arm} has {count}" for arm, count in counts.items())
            raise UserError(
                f"{path}.is_paired: expected equally many replicates of every variant, found that "
                f"{spelled}: change config.num_replicates, or leave is_paired out"
            )


def check_pareto(config: StudyConfig) -> None:
    """Raises UserError unless `config.pareto` is empty or two metrics."""
    if not config.pareto:
        return
    if len(set(config.pareto)) != 2 or len(config.pareto) != 2:
        raise UserError(
            f"config.pareto: expected two different metrics, found {len(set(config.pareto))}"
        )
    for i, metric in enumerate(config.pareto):
        check_metric(config, f"config.pareto[{i}]", metric)


def _check_arms(config: StudyConfig, path: str, contrast: ContrastConfig) -> None:
    if bool(contrast.variants) == bool(contrast.weights):
        found = "both" if contrast.variants else "neither"
        raise UserError(f"{path}: expected either variants or weights, found {found}")
    if contrast.variants and len(contrast.variants) != 2:
        raise UserError(
            f"{path}.variants: expected two variants, found {len(contrast.variants)}; give the "
            f"weights of more in {path}.weights"
        )
    places = [f"{path}.variants[{i}]" for i in range(2)] if contrast.variants else []
    for where, variant in zip(
        places or [f"{path}.weights.{variant}" for variant in contrast.weights],
        contrast.variants or contrast.weights,
        strict=True,
    ):
        if variant not in config.variants:
            near = suggestion(variant, list(config.variants))
            raise UserError(f"{where}: there is no variant {variant!r:.200}{near}")
    if contrast.weights:
        _check_weights(f"{path}.weights", list(contrast.weights.values()))
    phases = [config.variants[variant] for variant in contrast.variants or contrast.weights]
    if len(set(phases)) < len(phases):
        twice = next(phase for phase in phases if phases.count(phase) > 1)
        raise UserError(
            f"{path}: expected variants of different phases, found two that end with {twice}"
        )


def _check_weights(path: str, weights: list[float]) -> None:
    if len(weights) < 2 or not all(weights):
        raise UserError(f"{path}: expected two or more variants, each with a weight other than 0")
    total = math.fsum(weights)
    if abs(total) > 1e-6 * max(map(abs, weights)):
        raise UserError(
            f"{path}: expected weights that sum to 0, found a sum of {total:g}: otherwise the "
            "contrast is not 0 where all variants are equal"
        )


def check_metric(config: StudyConfig, path: str, metric: str) -> None:
    """Raises UserError for the metric of a contrast that is no average and of no evaluation."""
    averages = [*config.averages.categories, *config.averages.totals]
    evaluation = metric.partition("/")[0]
    if metric in averages and metric in config.evals:
        raise UserError(
            f"{path}: {metric!r} is both an average and an evaluation: name a score as "
            f"'{metric}/<metric>', or rename config.averages' {metric}"
        )
    if metric not in averages and evaluation not in config.evals:
        near = suggestion(evaluation, [*averages, *config.evals])
        raise UserError(f"{path}: there is no average or evaluation {evaluation!r:.200}{near}")
