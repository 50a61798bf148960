"""How many tokens of the baseline's mixture would have given each variant's score.

There where the study has the baseline's mixture at several lengths. The curve is that of these
variants, a variant's place on it is by its difference from the longest of them, and the curve is
not extrapolated (`inference/effects.py`). Where that difference is between recipes, lengths that
were trained once are no part of the curve: the error of the curve is not in the interval, and that
of a single run is √S times that of S (a ratio of 0.5 was covered in 91% with 3 runs and lengths of
one).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.inference.effects import TokenEquivalent, token_equivalent
from codepretrain.report.arms import (
    Arm,
    between,
    find_arm,
    mean_over_replicates,
    share_a_run,
)
from codepretrain.report.averaged import Averaged
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.differences import Reader, arm_cell, with_difference
from codepretrain.report.mixtures import Mixture, path_mixture, path_tokens
from codepretrain.report.statistics import Difference
from codepretrain.report.wording import is_known


@dataclass(frozen=True, kw_only=True)
class EquivalentTokens:
    """A variant on the curve of the baseline's mixture.

    Attributes:
      tokens: that the variant was trained on.
      shortest: of the curve that the variant is on; longest likewise.
      equivalent: of the baseline's mixture; its ratio and interval are over `longest`.
    """

    row: MetricRow
    variant: str
    runs: tuple[str, ...]
    tokens: int
    shortest: int
    longest: int
    difference: Difference
    equivalent: TokenEquivalent

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": f"{self.row.evaluator}/{self.row.name}",
            "variant": self.variant,
            "runs": self.runs,
            "tokens": self.tokens,
            "shortest": self.shortest,
            "longest": self.longest,
            "difference": self.difference.value,
            "between": self.difference.between.text,
            "equivalent_tokens": self.equivalent.tokens,
            "interval": [
                end * self.longest
                for end in (self.equivalent.interval.low, self.equivalent.interval.high)
            ],
        }


@dataclass(frozen=True, kw_only=True)
class TokenEquivalents:
    """curve: (tokens, variant) of the baseline's mixture, the shortest first."""

    mixture: Mixture
    curve: tuple[tuple[int, str], ...]
    found: tuple[EquivalentTokens, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "mixture": dict(self.mixture),
            "curve": self.curve,
            "variants": [one.to_json() for one in self.found],
        }


def token_equivalents(
    results: StudyResults, comparison: Comparison, averages: Averaged | None, reader: Reader
) -> TokenEquivalents | None:
    """Returns the equivalents of the primary metrics and averages, None without two lengths."""
    baseline = results.spec.baseline
    mixture = path_mixture(results.path(baseline)) if baseline is not None else None
    if mixture is None:
        return None
    by_length: dict[int, str] = {}
    for variant in results.spec.variants:
        path = results.path(variant)
        if path_mixture(path) == mixture:
            by_length.setdefault(path_tokens(path), variant)
    curve = tuple(sorted(by_length.items()))
    if len(curve) < 2:
        return None
    found = [
        one for row in comparison.headline_rows for one in _of_row(results, row, curve, reader)
    ]
    if averages is not None:
        of_averages = Reader(averages.averages.read, reader.problems)
        for row in averages.comparison.headline_rows:
            found += _of_row(averages.results, row, curve, of_averages)
    return TokenEquivalents(mixture=mixture, curve=curve, found=tuple(found)) if found else None


def _of_row(
    results: StudyResults,
    row: MetricRow,
    lengths: Sequence[tuple[int, str]],
    reader: Reader,
) -> list[EquivalentTokens]:
    arms = [(tokens, find_arm(results, variant, row)) for tokens, variant in lengths]
    known = [(tokens, arm) for tokens, arm in arms if arm is not None]
    if len(known) < 2 or row.direction is None:
        return []
    longest, last = known[-1]
    if not np.isfinite([np.mean(arm.values) for _, arm in known]).all():
        return []
    found = []
    for variant in results.spec.variants:
        arm = find_arm(results, variant, row)
        if arm is None or any(share_a_run(arm, of) for _, of in known):
            continue
        difference = _difference(arm, last, reader)
        if difference is None or not is_known(difference.interval):
            continue
        curve = [
            (tokens, of)
            for tokens, of in known
            if between([arm, of]).are_recipes or not difference.between.are_recipes
        ]
        if len(curve) < 2:
            continue
        found.append(
            EquivalentTokens(
                row=row,
                variant=variant,
                runs=tuple(run.name for run in arm.runs),
                tokens=path_tokens(results.path(variant)),
                shortest=curve[0][0],
                longest=longest,
                difference=difference,
                equivalent=token_equivalent(
                    [tokens for tokens, _ in curve],
                    [mean_over_replicates(of) for _, of in curve],
                    difference.value,
                    difference.interval,
                    is_higher_better=row.direction == "higher",
                ),
            )
        )
    return found


def _difference(arm: Arm, longest: Arm, reader: Reader) -> Difference | None:
    return with_difference(arm_cell(arm, reader), arm, longest, reader).difference
