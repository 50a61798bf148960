"""Bootstrap and leave-one-out over runs, or over groups of runs that are not independent."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.inference.interval import CONFIDENCE, Interval

_TRIES = 20  # resamples tried per resample used, on average

Groups = Sequence[Hashable]


@dataclass(frozen=True)
class Prediction:
    """A predicted value with the 95% percentile interval of its bootstrap."""

    value: float
    interval: Interval


def percentile_prediction(value: float, draws: np.ndarray) -> Prediction:
    """Returns a value with the central 95% of its bootstrap draws, of shape [draws]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Prediction(float(value), Interval(float(low), float(high)))


def bootstrap(
    num_runs: int,
    is_usable: Callable[[np.ndarray], bool],
    *,
    groups: Groups | None = None,
    num_draws: int,
    seed: int,
) -> Iterator[np.ndarray]:
    """Yields the run numbers of `num_draws` resamples; groups are drawn whole, with replacement.

    Checkpoints of one run, and runs that branch off one trunk, belong to one group.

    Args:
      is_usable: whether a law can be fit to the runs of a resample. Others are replaced by further
        resamples, so intervals are conditional on an identified law.
      groups: [R], the group of each run; None where runs are independent.

    Raises:
      ValueError: fewer than one resample in twenty is usable.
    """
    members = _members(num_runs, groups)
    rng = np.random.default_rng(seed)
    used = 0
    for _ in range(_TRIES * num_draws):
        if used == num_draws:
            return
        drawn = rng.integers(len(members), size=len(members))
        runs = np.concatenate([members[group] for group in drawn])
        if is_usable(runs):
            used += 1
            yield runs
    if used < num_draws:
        raise ValueError(
            f"cannot bootstrap {len(members)} groups of runs: only {used} of "
            f"{_TRIES * num_draws} resamples determine the law; add runs"
        )


def leave_one_out(
    fit_and_predict: Callable[[np.ndarray, np.ndarray], np.ndarray],
    num_runs: int,
    *,
    groups: Groups | None = None,
) -> np.ndarray:
    """Returns [R, …]: for every run, the prediction of a fit to the runs of all other groups.

    Groups by model size hold out every run of one size.

    Args:
      fit_and_predict: from the numbers of the runs to fit and of those left out to the predictions
        for the latter, of shape [left out, …].
      groups: [R], the group of each run; None to leave out one run at a time.
    """
    predicted: np.ndarray | None = None
    for kept in without_each_group(num_runs, groups):
        left_out = np.setdiff1d(np.arange(num_runs), kept)
        values = np.asarray(fit_and_predict(kept, left_out), float)
        if predicted is None:
            predicted = np.empty((num_runs, *values.shape[1:]))
        predicted[left_out] = values
    assert predicted is not None
    return predicted


def without_each_group(num_runs: int, groups: Groups | None = None) -> list[np.ndarray]:
    """Returns, for each group, the numbers of the runs of all others."""
    members = _members(num_runs, groups)
    if len(members) < 2:
        raise ValueError("cannot leave one group out: expected at least 2 groups of runs, found 1")
    return [np.setdiff1d(np.arange(num_runs), left_out) for left_out in members]


def _members(num_runs: int, groups: Groups | None) -> list[np.ndarray]:
    """Returns the run numbers of each group, in order of first appearance."""
    if groups is None:
        return [np.array([run]) for run in range(num_runs)]
    if len(groups) != num_runs:
        raise ValueError(f"groups: expected {num_runs} entries, one per run, found {len(groups)}")
    runs_of: dict[Hashable, list[int]] = {}
    for run, group in enumerate(groups):
        runs_of.setdefault(group, []).append(run)
    return [np.array(runs) for runs in runs_of.values()]
