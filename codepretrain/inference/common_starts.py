"""Which runs are independent of each other: those that have no start in common."""

from collections.abc import Collection, Sequence


def common_starts(starts: Sequence[Collection[str]]) -> list[str]:
    """Returns a label for each run, equal for runs that are connected by shared starts.

    A run has several starts if it is an average of runs that start apart.

    >>> common_starts([{"trunk"}, {"other"}, {"trunk"}])
    ['trunk', 'other', 'trunk']
    >>> common_starts([{"a", "b"}, {"b", "c"}, {"d"}])
    ['a', 'a', 'd']
    """
    groups: list[set[str]] = []
    for of_run in starts:
        joined = [group for group in groups if not group.isdisjoint(of_run)]
        groups = [group for group in groups if group.isdisjoint(of_run)]
        groups.append(set(of_run).union(*joined))
    return [min(next(g for g in groups if not g.isdisjoint(of_run))) for of_run in starts]
