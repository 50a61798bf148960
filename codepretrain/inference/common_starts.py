"""Which runs are independent of each other: those that have nothing in common.

    trunk ─┬─ control × 3              3 replicates
           └─ middle ── code × 3       1 replicate: what `middle` happened to be is in all of them

What all runs of a comparison have in common, here the trunk, is no part of it.
"""

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


def independent_replicates(arms: Sequence[Sequence[frozenset[str]]]) -> list[list[str]]:
    """Returns the labels of the runs of each arm, equal for those that are not independent.

    Args:
      arms: of each run all that it comes from, itself too.

    >>> independent_replicates([[{"trunk", "a"}, {"trunk", "b"}], [{"trunk", "c"}]])
    [['a', 'b'], ['c']]
    >>> independent_replicates([[{"trunk", "a"}, {"trunk", "b"}], [{"other", "c"}]])
    [['a', 'a'], ['c']]
    """
    common = frozenset.intersection(*(frozenset(run) for arm in arms for run in arm))
    return [common_starts([run - common or run for run in arm]) for arm in arms]
