"""Checks of `config.averages` that need no evaluator, and the share of each score in an average.

`evals/averaged_scores.py` has the other checks.
"""

from collections.abc import Mapping, Sequence

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import AveragesConfig, StudyConfig
from codepretrain.config.values import NAME, require
from codepretrain.errors import UserError

_PATH = "config.averages"
UNFILTERED = "unfiltered/"  # before the name of an average with the excluded scores


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


def all_shares(averages: AveragesConfig) -> dict[str, dict[str, float]]:
    """Returns average → score → its share; those with excluded scores follow those without."""
    excluded = frozenset(averages.excluded)
    found: dict[str, dict[str, float]] = {}
    for prefix, left_out in (("", excluded), (UNFILTERED, frozenset[str]())):
        categories = {
            name: {score: 1.0 for score in scores if score not in left_out}
            for name, scores in averages.categories.items()
        }
        for name, scores in categories.items():
            if not prefix or excluded & scores.keys():
                found[prefix + name] = {score: 1 / len(scores) for score in scores}
        for name, members in averages.totals.items():
            shares: dict[str, float] = {}
            for category in members:
                for score in categories[category]:
                    share = 1 / len(members) / len(categories[category])
                    shares[score] = shares.get(score, 0.0) + share
            if not prefix or excluded & shares.keys():
                found[prefix + name] = shares
    return found


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
