"""The mixtures of a study's phases and stages as `seqio.Mixture`s, of documents and of rows.

A config's weights are shares of tokens, and rows are of equal length, so a weight is the rate of a
source's rows. seqio's rates count examples: a source's rate of documents is its weight divided by
its mean number of target tokens per document.
"""

from collections.abc import Mapping
from fractions import Fraction

import seqio

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.rows.manifest import RowsManifest
from codepretrain.stream.mixture import shares
from codepretrain.stream.stages import phase_stages


def check_names(config: StudyConfig) -> None:
    """Raises UserError if the rows of a source would be named as the mixture of a phase."""
    if "mixture" in config.data.sources and "rows" in config.phases:
        raise UserError(
            "config.data.sources.mixture and config.phases.rows would both be registered as "
            f"codepretrain.{config.name}.mixture.rows: rename one of them"
        )


def phase_shares(config: StudyConfig, phase: str) -> dict[str, dict[str, Fraction]]:
    """Returns source → share of the tokens, of the whole phase ("") and of each stage (".stage0").

    The share in a phase is the mean over its stages, weighted by their tokens.
    """
    stages = phase_stages(phase, config.phases[phase], config)
    of_stages = [shares(stage.weights) for stage in stages]
    whole: dict[str, Fraction] = {}
    for stage, of_stage in zip(stages, of_stages, strict=True):
        for source, share in of_stage.items():
            whole[source] = whole.get(source, Fraction(0)) + share * stage.num_rows
    total = sum(stage.num_rows for stage in stages)
    return {
        "": {source: rows / total for source, rows in whole.items()},
        **{f".stage{number}": of_stage for number, of_stage in enumerate(of_stages)},
    }


def make_mixtures(
    config: StudyConfig,
    rows: Mapping[tuple[str, str], RowsManifest],
    *,
    documents: Mapping[str, seqio.Task],
    row_tasks: Mapping[str, seqio.Task],
) -> list[seqio.Mixture]:
    """Returns the Mixtures of every phase and stage; an average has none.

    Args:
      rows: the manifests of every (source, split).
      documents, row_tasks: the Tasks of every source.
    """
    mixtures = []
    for phase in (name for name, of in config.phases.items() if of.kind != "average"):
        for suffix, weights in phase_shares(config, phase).items():
            name = f"codepretrain.{config.name}.mixture.{phase}{suffix}"
            of_documents = [
                (documents[source], float(weight) / _mean_tokens(rows[source, "train"]))
                for source, weight in weights.items()
            ]
            of_rows = [(row_tasks[source], float(weight)) for source, weight in weights.items()]
            mixtures += [
                seqio.Mixture(name, of_documents),
                seqio.Mixture(f"{name}.rows", of_rows),
            ]
    return mixtures


def _mean_tokens(rows: RowsManifest) -> float:
    return rows.num_target_tokens / rows.num_documents
