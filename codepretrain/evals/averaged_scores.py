"""Which metrics the averages of a study are of. Loads declarations alone: no JAX, no data."""

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping

from codepretrain.config.averages import check_excluded
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import AveragesConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import AnyEvaluatorKind
from codepretrain.evals.metric import Direction, MetricSpec
from codepretrain.evals.registry import evaluator_kind, evaluator_request

_PATH = "config.averages"
Unit = tuple[str, Direction]  # of a value, and which values are better


def check_averaged_scores(config: StudyConfig) -> None:
    """Checks the averages of a study whose fields were validated.

    Raises:
      UserError: no evaluation has a score, an average is of different units, or every score of a
        category is excluded under one of its two spellings.
    """
    units_of_averages(config)
    check_excluded(full_scores(config))


def units_of_averages(config: StudyConfig) -> dict[str, set[Unit]]:
    """Returns (unit, direction) of each declaration that a category or a total may be of.

    Raises:
      UserError: as `check_averaged_scores`, but for excluded scores.
    """
    specs: dict[str, set[Unit]] = {}
    for name, scores in config.averages.categories.items():
        found = {
            score: units_of(config, f"{_PATH}.categories.{name}[{i}]", score)
            for i, score in enumerate(scores)
        }
        full = [full_score(config, score) for score in scores]
        if len(set(full)) < len(full):
            twice = next(score for score in full if full.count(score) > 1)
            raise UserError(f"{_PATH}.categories.{name}: {twice!r} is there twice")
        specs[name] = _shared(f"{_PATH}.categories.{name}", found)
    categories = dict(specs)
    for name, members in config.averages.totals.items():
        path = f"{_PATH}.totals.{name}"
        specs[name] = _shared(path, {category: categories[category] for category in members})
    return specs


def full_scores(config: StudyConfig) -> AveragesConfig:
    """Returns the averages with every score as `<evaluation>/<metric>`."""
    averages = config.averages
    return dataclasses.replace(
        averages,
        categories={
            name: tuple(full_score(config, score) for score in scores)
            for name, scores in averages.categories.items()
        },
        excluded=tuple(full_score(config, score) for score in averages.excluded),
    )


def full_score(config: StudyConfig, score: str) -> str:
    """Returns a score as `<evaluation>/<metric>`."""
    evaluation, slash, _ = score.partition("/")
    if slash:
        return score
    return f"{evaluation}/{_primary(evaluator_kind(config.evals[evaluation].kind))[0].name}"


def _primary(kind: AnyEvaluatorKind) -> list[MetricSpec]:
    return [spec for spec in kind.metrics if spec.is_primary]


def units_of(config: StudyConfig, path: str, score: str) -> set[Unit]:
    """Returns (unit, direction) of each declaration that a score may be of."""
    evaluation, slash, metric = score.partition("/")
    kind = evaluator_kind(config.evals[evaluation].kind)
    primary = _primary(kind)
    if not slash and (len(primary) != 1 or "*" in primary[0].name):
        names = ", ".join(spec.name for spec in kind.metrics if spec.direction is not None)
        raise UserError(
            f"{path}: an evaluation of kind {kind.name!r} has no single primary metric: name one "
            f"as '{evaluation}/<metric>', of {names}"
        )
    specs = [s for s in kind.metrics if fnmatch.fnmatchcase(metric, s.name)] if slash else primary
    found = {(spec.unit, spec.direction) for spec in specs if spec.direction is not None}
    if not found:
        names = ", ".join(spec.name for spec in kind.metrics if spec.direction is not None)
        raise UserError(
            f"{path}: an evaluation of kind {kind.name!r} has no score {metric!r:.200}; expected "
            f"one of {names}"
        )
    if any(spec.name.startswith("*/") for spec in specs):
        _check_subject(config, path, score)
    return found


def _check_subject(config: StudyConfig, path: str, score: str) -> None:
    """Raises UserError for the score of a task or a source that the evaluation does not have."""
    evaluation, _, metric = score.partition("/")
    kind, request = evaluator_request(evaluation, config.evals[evaluation])
    subjects = kind.subjects(request, config)
    if subjects is None or any(metric.startswith(f"{subject}/") for subject in subjects):
        return
    near = suggestion(metric.rpartition("/")[0], list(subjects))
    raise UserError(f"{path}: config.evals.{evaluation} does not score {metric!r:.200}{near}")


def _shared(path: str, units: Mapping[str, Iterable[Unit]]) -> set[Unit]:
    """Returns the units and directions that all members may have.

    Raises:
      UserError: there is none.
    """
    members = list(units)
    shared = set(units[members[0]])
    for member in members[1:]:
        if not shared & set(units[member]):
            spelled = [_spelled(units[members[0]]), _spelled(units[member])]
            raise UserError(
                f"{path} averages different things: {members[0]} is in {spelled[0]}, {member} in "
                f"{spelled[1]}"
            )
        shared &= set(units[member])
    return shared


def _spelled(units: Iterable[Unit]) -> str:
    return " or ".join(f"{unit} ({direction} is better)" for unit, direction in sorted(units))
