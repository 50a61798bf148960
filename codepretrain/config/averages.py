"""Checks of `config.averages` that need no evaluator; `evals/averaged_scores.py` has the others."""

from collections.abc import Mapping, Sequence

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import AveragesConfig, StudyConfig
from codepretrain.config.values import NAME, require
from codepretrain.errors import UserError

_PATH = "config.averages"


def check_averages(config: StudyConfig) -> None:
    """Raises UserError for an average of something that the study does not have."""
    categories, totals = config.averages.categories, config.averages.totals
    for group, members in (("categories", categories), ("totals", totals)):
        _check_members(f"{_PATH}.{group}", members)
    for name, scores in categories.items():
        for i, score in enumerate(scores):
            evaluation = score.partition("/")[0]
            _check_known(
                f"{_PATH}.categories.{name}[{i}]", evaluation, list(config.evals), "evaluation"
            )
    for name, of_total in totals.items():
        if name in categories:
            raise UserError(f"{_PATH}.totals.{name}: there is a category of this name, rename one")
        for i, category in enumerate(of_total):
            _check_known(f"{_PATH}.totals.{name}[{i}]", category, list(categories), "category")
    check_excluded(config.averages)


def _check_members(path: str, groups: Mapping[str, Sequence[str]]) -> None:
    for name, members in groups.items():
        require(NAME, path, name)
        if not members:
            raise UserError(f"{path}.{name}: expected at least one entry, got none")
        for i, member in enumerate(members):
            if member in members[:i]:
                raise UserError(f"{path}.{name}[{i}]: {member!r} is there twice")


def check_excluded(averages: AveragesConfig) -> None:
    """Raises UserError for an excluded score of no category, and for a category without others.

    Two spellings of one score are two scores here, unless all are `<evaluation>/<metric>`.
    """
    excluded, categories = averages.excluded, averages.categories
    scores = list(dict.fromkeys(score for members in categories.values() for score in members))
    for i, score in enumerate(excluded):
        _check_known(f"{_PATH}.excluded[{i}]", score, scores, "score in a category")
    for name, members in categories.items():
        if set(members) <= set(excluded):
            raise UserError(
                f"{_PATH}.excluded: all scores of the category {name} are excluded, so it has no "
                "average: remove the category, or keep one of them"
            )


def _check_known(path: str, name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise UserError(f"{path}: there is no {what} {name!r:.200}{suggestion(name, known)}")
