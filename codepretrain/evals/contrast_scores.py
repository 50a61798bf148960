"""Which metrics the contrasts of a study are of. Loads declarations alone: no JAX, no data."""

import dataclasses

from codepretrain.config.schema import ContrastConfig, StudyConfig
from codepretrain.evals.averaged_scores import Unit, full_score, units_of, units_of_averages


def check_contrast_scores(config: StudyConfig) -> None:
    """Raises UserError for a contrast or a Pareto plot of what no evaluation scores."""
    for name, contrast in config.contrasts.items():
        contrast_units(config, f"config.contrasts.{name}", contrast)
    for i, metric in enumerate(config.pareto):
        if metric not in units_of_averages(config):
            units_of(config, f"config.pareto[{i}]", metric)


def contrast_units(config: StudyConfig, path: str, contrast: ContrastConfig) -> set[Unit]:
    """Returns (unit, direction) of each declaration that the metric of a contrast may be of.

    Args:
      path: of the contrast in the config, for messages.
    """
    averages = units_of_averages(config)
    if contrast.metric in averages:
        return averages[contrast.metric]
    return units_of(config, f"{path}.metric", contrast.metric)


def full_contrasts(config: StudyConfig) -> dict[str, ContrastConfig]:
    """Returns the contrasts by name; their metrics are averages, or `<evaluation>/<metric>`."""
    return {
        name: dataclasses.replace(contrast, metric=_full(config, contrast.metric))
        for name, contrast in config.contrasts.items()
    }


def full_pareto(config: StudyConfig) -> tuple[str, ...]:
    """Returns the two metrics of the Pareto plot, named as by `full_contrasts`; () for none.

    Without a choice these are the first two categories of the averages.
    """
    if not config.pareto:
        first = tuple(config.averages.categories)[:2]
        return first if len(first) == 2 else ()
    return tuple(_full(config, metric) for metric in config.pareto)


def _full(config: StudyConfig, metric: str) -> str:
    averages = {**config.averages.categories, **config.averages.totals}
    return metric if metric in averages else full_score(config, metric)
