"""What the sections of the report say where every variant is the same recipe.

`tests/campaigns/test_statistics_of_sections.py` counts their false statements.
"""

import numpy as np

from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.heatmap import heatmap
from codepretrain.report.token_equivalents import TokenEquivalents, token_equivalents
from codepretrain.report.token_rows import token_rows
from tests.report.simulated import SameRecipe, apart, of_trunks

LENGTHS = {"short": 25, "middle": 50, "long": 100}


def test_single_runs_beside_runs_from_one_checkpoint_are_not_tested() -> None:
    """Their differences are of checkpoints, and had the mark of a difference of recipes."""
    paths = {**of_trunks({"plain": 3, "coded": 3}, is_replicated=False), **apart({"single": 1})}
    results, reader = SameRecipe(paths=paths).draw(np.random.default_rng(0))
    found = heatmap(results, compare_to_baseline(results, read=reader.of), reader)
    assert found is not None
    assert (found.unit, found.is_of_checkpoints, found.num_tested) == ("item", False, 3)
    for of in found.rows:
        assert (
            of.cells["coded"].difference.between.text == "recipes from one checkpoint, 3 replicates"
        )
        assert of.cells["coded"].adjusted_p is not None
        assert of.cells["single"].adjusted_p is None


def test_single_runs_alone_are_tested_as_checkpoints() -> None:
    results, reader = SameRecipe(paths=apart({"plain": 1, "coded": 1})).draw(
        np.random.default_rng(0)
    )
    found = heatmap(results, compare_to_baseline(results, read=reader.of), reader)
    assert found is not None
    assert (found.is_of_checkpoints, found.num_tested) == (True, 3)


def equivalents(counts: dict[str, int]) -> TokenEquivalents | None:
    plans = {name: {"tokens": tokens} for name, tokens in LENGTHS.items()}
    other = ({"start_tokens": 0, "weights": {"text": 1.0}},)
    study = SameRecipe(
        paths=apart({name: counts[name] for name in ("long", "middle", "short", "other")}),
        tasks={"a": 40},
        plans={**plans, "other": {"tokens": 100, "mixture": other}},
        effects={"short": 2.0, "middle": 1.0, "other": 1.5},
    )
    results, reader = study.draw(np.random.default_rng(0))
    return token_equivalents(results, compare_to_baseline(results, read=reader.of), None, reader)


def test_the_curve_of_recipes_has_only_lengths_with_replicates() -> None:
    found = equivalents({"long": 3, "middle": 3, "short": 1, "other": 3})
    assert found is not None
    (one,) = found.found
    assert one.shortest == 50
    (row,) = token_rows(found)
    assert row["equivalent"] == "< 50"
    assert equivalents({"long": 3, "middle": 1, "short": 1, "other": 3}) is None


def test_the_curve_of_checkpoints_has_all_lengths() -> None:
    found = equivalents({"long": 1, "middle": 1, "short": 1, "other": 1})
    assert found is not None
    (one,) = found.found
    assert one.shortest == 25
    assert 25 < one.equivalent.tokens < 50
