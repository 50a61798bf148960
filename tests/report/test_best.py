import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from codepretrain.config.schema import AveragesConfig
from codepretrain.inference.best import probability_of_best
from codepretrain.inference.linearized import linearize
from codepretrain.report.averaged import compare_averages
from codepretrain.report.best import best_variants
from codepretrain.report.best_rows import best_rows, percent, print_best
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import read_scores
from tests.report.replicated import LOSS, replicated_study
from tests.report.test_contrasts import scores_of

LEVELS = {
    "plain": (3.0, 3.02, 2.97),
    "coded": (2.5, 2.55, 2.52),
    "close": (2.53, 2.5, 2.56),
    "alone": (1.0,),
}


def found(study, *, num_problems=0):
    problems: list[str] = []
    results = collect(study)
    best = best_variants(
        results,
        compare_to_baseline(results),
        compare_averages(results),
        Reader(read_scores, problems),
    )
    assert len(problems) == num_problems
    return best


def test_probabilities_are_those_of_the_replicated_variants(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    loss = next(one for one in found(study) if one.row.evaluator == LOSS)
    arms = [scores_of(study, variant) for variant in ("plain", "coded", "close")]
    expected = probability_of_best(linearize(arms), is_higher_better=False)
    assert [loss.probabilities[v] for v in ("plain", "coded", "close")] == pytest.approx(expected)
    assert list(loss.probabilities.values()) == sorted(loss.probabilities.values(), reverse=True)
    assert "alone" not in loss.probabilities


def test_a_variant_that_ends_in_the_runs_of_another_is_that_one(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    twice = replace(
        study,
        variants={**study.variants, "twin": study.variants["coded"]},
        replicates={**study.replicates, "twin": study.replicates["coded"]},
    )
    assert found(twice) == found(study)


def test_a_study_of_checkpoints_says_nothing(tmp_path):
    assert found(replicated_study(tmp_path, {name: of[:1] for name, of in LEVELS.items()})) == []


def test_a_study_with_averages_tells_of_them(tmp_path):
    averages = AveragesConfig(categories={"answers": ("quiz/accuracy",)})
    best = found(replace(replicated_study(tmp_path, LEVELS), averages=averages))
    assert [one.row.evaluator for one in best] == ["answers"]
    assert sum(best[0].probabilities.values()) == pytest.approx(1)


def test_text_names_candidates_and_counts_the_others(tmp_path):
    best = found(replicated_study(tmp_path, LEVELS))
    loss = best_rows(best)[[one.row.evaluator for one in best].index(LOSS)]
    assert loss["candidates"].count("%") == 2
    assert loss["others"] == "1 other < 0.5% in all"
    assert [percent(p) for p in (0.004, 0.25, 0.999)] == ["< 0.5%", "25%", "> 99.5%"]
    text = io.StringIO()
    print_best(Console(file=text, width=100), best, width=100)
    assert "which variant could be best" in text.getvalue()


def test_two_metrics_of_one_source_are_told_apart_by_their_units(tmp_path):
    best = found(replicated_study(tmp_path, LEVELS))
    loss = next(one for one in best if one.row.evaluator == LOSS)
    bits = replace(loss, row=replace(loss.row, name="source/text/bits_per_byte", unit="bits/byte"))
    nats = replace(loss, row=replace(loss.row, name="source/text/nats_per_token"))
    assert [row["label"] for row in best_rows([bits, nats])] == [
        "text, bits/byte",
        "text, nats/token",
    ]
    assert [row["label"] for row in best_rows([bits])] == ["text"]


def test_missing_items_are_told(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    for path in (tmp_path / "runs" / "coded" / "items").rglob("*"):
        if path.is_file() and LOSS in str(path):
            path.unlink()
    loss = next(one for one in found(study, num_problems=1) if one.row.evaluator == LOSS)
    assert loss.missing == "the item scores of a run are missing"
    assert np.sum(list(loss.probabilities.values())) == 0
