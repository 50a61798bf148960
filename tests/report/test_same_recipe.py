"""Replicates of one recipe, split at random: the report finds no difference of recipes.

`tests/campaigns/test_same_recipe.py` does the same with runs that were trained.
"""

import itertools
from dataclasses import replace

import numpy as np

from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.contrasts import decide_contrasts
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study, split_at_random

METRICS = (f"{LOSS}/{LOSS_METRIC}", "quiz/accuracy")
NUM_SPLITS = 20


def test_at_most_two_of_twenty_splits_find_a_difference_of_one_recipe(tmp_path):
    rng = np.random.default_rng(5)
    levels = {"recipe": tuple(3.0 + 0.05 * rng.normal(size=8))}  # the demo's spread between runs
    study = replicated_study(tmp_path, levels)
    found = 0
    for _ in range(NUM_SPLITS):
        results = collect(split_at_random(study, "recipe", METRICS, rng))
        decided = decide_contrasts(results, None, [])
        assert all(one.between.text == "recipes, 4 replicates" for one in decided)
        found += any(one.decision == "confirmed" for one in decided)
    assert found <= 2


def test_pairs_of_single_runs_of_one_recipe_differ_and_are_called_checkpoints(tmp_path):
    """What the report once called better and worse recipes."""
    rng = np.random.default_rng(5)
    study = replicated_study(tmp_path, {"recipe": tuple(3.0 + 0.05 * rng.normal(size=8))})
    pairs = list(itertools.combinations(study.phases, 2))
    distinct = 0
    for first, second in pairs:
        variants = {name: (name,) for name in (first, second)}
        pair = replace(study, variants=variants, replicates={}, baseline=first)
        for cell in compare_to_baseline(collect(pair)).headline_differences:
            assert cell.difference is not None
            assert not cell.difference.between.are_recipes
            distinct += cell.outcome != "not distinguishable" and cell.metric.unit != "fraction"
    assert distinct > len(pairs) / 2
