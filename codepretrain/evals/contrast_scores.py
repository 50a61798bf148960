"""Which metrics the contrasts of a study are of. Loads declarations alone: no JAX, no data."""

import dataclasses

from codepretrain.config.schema import ContrastConfig, StudyConfig
from codepretrain.evals.averaged_scores import Unit, full_score, units_of, units_of_averages


def check_contrast_scores(config: StudyConfig) -> None:
    """Raises UserError for a contrast of something that no evaluation of the study scores."""
    for name, contrast in config.contrasts.items():
        contrast_units(config, f"config.contrasts.{name}", contrast)


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
    averages = {**config.averages.categories, **config.averages.totals}
    return {
        name: contrast
        if contrast.metric in averages
        else dataclasses.replace(contrast, metric=full_score(config, contrast.metric))
        for name, contrast in config.contrasts.items()
    }
