"""Win rates over runs and prompts: by hand, which claim they allow, and by simulation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from codepretrain.evals.judge.match import Judgment, Outcome
from codepretrain.evals.judge.result import JudgeResult
from codepretrain.report.win_rate import win_rate
from codepretrain.report.win_rate_recipes import JudgedComparison, comparisons, replicated_win_rate
from codepretrain.report.win_rate_rows import rows

W: Outcome = "win"
T: Outcome = "tie"
L: Outcome = "loss"


def result(
    judgments: Sequence[Judgment],
    replicate: int = 0,
    *,
    variant: str = "code",
    starts: tuple[str, str] | None = None,
) -> JudgeResult:
    ours, theirs = starts or (f"code{replicate}", f"text{replicate}")
    return JudgeResult(
        study="s",
        evaluator="dolly",
        variant={"variant": variant, "replicate": replicate, "start": ours},
        reference={"variant": "text", "replicate": replicate, "start": theirs},
        judge={"model": "m"},
        answered_by=["m"],
        judgments=list(judgments),
        num_asserting=(1, 2),
    )


def judged(*outcomes: Outcome, category: str = "") -> list[Judgment]:
    """Returns judgments with the same outcome in both orders."""
    return [Judgment(f"p{i}", category, (one, one)) for i, one in enumerate(outcomes)]


def test_one_run_of_each_is_a_comparison_of_two_checkpoints() -> None:
    one = judged(W, W, T, L)
    (compared,) = comparisons([result(one)])
    assert compared.between.text == "two checkpoints"
    assert compared.rate() == win_rate(one)
    (row,) = rows([compared])
    assert row.between == "two checkpoints"


def test_the_mean_over_pairs_of_runs_by_hand() -> None:
    """Prompt 3 is not judged in the second pair, so it is left out: wins are 4 of 9."""
    first = judged(W, W, L, W)
    second = [*judged(W, T, L), Judgment("p3", "", ("win", None))]
    third = judged(W, T, T, T)
    (compared,) = comparisons([result(second, 1), result(third, 2), result(first, 0)])
    assert [one.replicate for one in compared.results] == [0, 1, 2]
    rate = compared.rate()
    assert (rate.num_prompts, rate.num_missing) == (3, 1)
    shares = [getattr(rate, name).value for name in ("win", "tie", "loss", "unreadable")]
    assert shares == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])
    assert rate.difference.value == pytest.approx(2 / 9)
    # Not narrower than Student's over the means 1/3, 0 and 1/3 of the pairs.
    half = 4.302652729911275 * (1 / math.sqrt(27)) / math.sqrt(3)
    assert rate.difference.interval.high >= 2 / 9 + half - 1e-9
    (row,) = rows([compared])
    assert row.between == "recipes, 3 replicates"
    assert "1 prompts are not judged yet in every pair of runs and left out" in row.notes
    assert any(note.startswith("3 and 6 completions") for note in row.notes)


def test_runs_that_disagree_widen_the_interval() -> None:
    """One pair of runs wins all, one loses all: over prompts alone the tie would look certain."""
    of_runs = [judged(*[W] * 50), judged(*[L] * 50)]
    recipes = replicated_win_rate(of_runs, ("0", "1"), are_recipes=True).difference
    checkpoints = replicated_win_rate(of_runs, ("0", "1"), are_recipes=False).difference
    assert recipes.value == checkpoints.value == 0
    assert (recipes.interval.low, recipes.interval.high) == (-1, 1)
    assert checkpoints.interval.high < 0.1


@pytest.mark.parametrize(
    ("starts", "between"),
    [
        ([("a", "b"), ("c", "d"), ("e", "f")], "recipes, 3 replicates"),
        # Two cooldowns of the trunk of each replicate.
        ([("a", "a"), ("b", "b"), ("c", "c")], "recipes, 3 replicates"),
        # All from one trunk: what follows it.
        ([("a", "a"), ("a", "a"), ("a", "a")], "recipes from one checkpoint, 3 replicates"),
        # The reference has one trunk: its spread is not known.
        ([("a", "x"), ("b", "x"), ("c", "x")], "these checkpoints, 1 and 3 runs"),
        # Two of four pairs share a start.
        ([("a", "x"), ("b", "y"), ("a", "z"), ("c", "u")], "recipes, 3 replicates"),
        ([("a", "b"), ("c", "d")], "recipes, 2 replicates"),
    ],
)
def test_what_pairs_of_runs_allow_to_be_said(starts: list[tuple[str, str]], between: str) -> None:
    of = [result(judged(W, L, T), k, starts=pair) for k, pair in enumerate(starts)]
    (compared,) = comparisons(of)
    assert compared.between.text == between
    assert compared.rate().difference.value == 0


def test_categories_are_strata() -> None:
    one = [
        *judged(W, W, category="qa"),
        Judgment("x", "open", (L, L)),
        Judgment("y", "open", (L, L)),
    ]
    compared = JudgedComparison((result(one), result(one, 1)))
    assert compared.categories == ["open", "qa"]
    assert [compared.rate(name).win.value for name in compared.categories] == [0, 1]
    assert JudgedComparison((result(judged(W)),)).categories == []


def _studies(
    rng: np.random.Generator,
    *,
    num_runs: int,
    run_sd: float,
    advantage: float = 0.0,
    num_prompts: int = 100,
) -> list[list[Judgment]]:
    """Returns the judgments of pairs of runs, whose completions have qualities with normal noise.

    Qualities have a part of the run and one of run × prompt; a judge of two orders may contradict
    itself where they are close.
    """
    runs = rng.normal(0, run_sd, (2, num_runs, 1)) + rng.normal(0, 1, (2, num_runs, num_prompts))
    gap = runs[0] - runs[1] + advantage
    seen = gap[..., None] + rng.normal(0, 0.5, (num_runs, num_prompts, 2))
    names = np.array([L, W])[(seen > 0).astype(int)]
    return [
        [Judgment(f"p{i}", "", tuple(of)) for i, of in enumerate(run)] for run in names.tolist()
    ]


@pytest.mark.parametrize(("num_runs", "run_sd"), [(2, 0.5), (3, 0.5), (5, 0.5), (3, 0.0), (3, 3.0)])
def test_equal_recipes_are_told_apart_in_at_most_a_twentieth(num_runs: int, run_sd: float) -> None:
    """400 studies of two equal recipes: 5% and two standard errors, 2.2%, is 7.2%.

    With a spread of 3 verdicts are nearly unanimous: a difference was found in 14% of them.
    """
    rng = np.random.default_rng(1)
    num_studies, num_found, num_of_first = 400, 0, 0
    groups = tuple(map(str, range(num_runs)))
    for _ in range(num_studies):
        of_runs = _studies(rng, num_runs=num_runs, run_sd=run_sd)
        num_found += replicated_win_rate(of_runs, groups, are_recipes=True).p_value < 0.05
        num_of_first += win_rate(of_runs[0]).p_value < 0.05
    assert num_found / num_studies <= 0.072
    if run_sd == 0.5:  # as a claim about recipes, one run of each is wrong in most studies
        assert num_of_first / num_studies > 0.3


def test_a_better_recipe_is_found() -> None:
    rng = np.random.default_rng(2)
    groups = tuple(map(str, range(5)))
    found = 0
    for _ in range(50):
        of_runs = _studies(rng, num_runs=5, run_sd=0.2, advantage=1.0)
        rate = replicated_win_rate(of_runs, groups, are_recipes=True)
        found += rate.p_value < 0.05 and rate.difference.value > 0
    assert found >= 45


@pytest.mark.parametrize("num_prompts", [3, 10, 20, 60])
def test_the_claim_does_not_depend_on_which_side_is_the_variant(num_prompts: int) -> None:
    """Two of three pairs with a single tie, which is as far as a mean is told from 1."""

    def rate(ours: Outcome, theirs: Outcome):
        nearly = [Judgment("tie", "", (ours, T)), *judged(*[ours] * (num_prompts - 1))]
        other = [Judgment("tie", "", (theirs, T)), *judged(*[ours] * (num_prompts - 1))]
        return replicated_win_rate([nearly, nearly, other], ["0", "1", "2"], are_recipes=True)

    won, lost = rate(W, L), rate(L, W)
    assert won.p_value == lost.p_value == 1
    assert (won.difference.interval.low, won.difference.interval.high) == (-1.0, 1.0)
    assert won.difference.interval == lost.difference.interval
