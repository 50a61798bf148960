"""False statements of the report's sections about identical recipes: `make test-statistics`.

Studies of four variants of one recipe and three tasks (`tests/report/simulated.py`), 200 of each:
the standard error of a share of 5% is 1.5%.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.heatmap import heatmap
from codepretrain.report.pareto import pareto
from codepretrain.report.trunks import find_trunks
from tests.report.simulated import Paths, SameRecipe, apart, of_trunks

pytestmark = pytest.mark.campaign

DRAWS = 200
HIGHEST = 0.05 + 2 * math.sqrt(0.05 * 0.95 / DRAWS)
EQUAL, UNEQUAL = (3, 3, 3, 3), (3, 5, 2, 4)


def named(counts: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("baseline", "u", "v", "w"), counts, strict=True))


DESIGNS: dict[str, Paths] = {
    "2 runs": apart(named((2, 2, 2, 2))),
    "3 runs": apart(named(EQUAL)),
    "3, 5, 2 and 4 runs": apart(named(UNEQUAL)),
    "3 trunks": of_trunks(named(EQUAL)),
    "3, 5, 2 and 4 trunks": of_trunks(named(UNEQUAL)),
    "3 runs of one trunk": of_trunks(named(EQUAL), is_replicated=False),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_sections_about_one_recipe(name: str) -> None:
    study, rng = SameRecipe(paths=DESIGNS[name]), np.random.default_rng(4)
    marks, behind, slopes = 0, 0, []
    for _ in range(DRAWS):
        results, reader = study.draw(rng)
        comparison = compare_to_baseline(results, read=reader.of)
        found = heatmap(results, comparison, reader)
        assert found is not None
        marks += any(cell.is_found for of in found.rows for cell in of.cells.values())
        named_pair = replace(results.spec, pareto=("a/score", "b/score"))
        points = pareto(replace(results, spec=named_pair), None, reader)
        assert points is not None
        behind += any(point.is_behind for point in points.points)
        trunks = find_trunks(results, comparison, None, reader)
        of_rows = trunks.slopes if trunks else ()
        for one in (point.slope for of in of_rows for point in of.points):
            if one is not None and one.between.are_recipes:
                slopes.append(one.interval.low > 0 or one.interval.high < 0)
    share = float(np.mean(slopes)) if slopes else 0.0
    rates = f"marks {marks / DRAWS:.1%} | behind {behind / DRAWS:.1%} | slopes {share:.1%}"
    print(f"\n| {name} | {rates} |", flush=True)
    assert marks / DRAWS <= HIGHEST
    assert behind / DRAWS <= HIGHEST
    assert share <= HIGHEST


def test_single_runs_are_of_checkpoints() -> None:
    """Nothing is said of recipes; of checkpoints there is much that is true."""
    results, reader = SameRecipe(paths=apart(named((1, 1, 1, 1)))).draw(np.random.default_rng(0))
    found = heatmap(results, compare_to_baseline(results, read=reader.of), reader)
    assert found is not None
    assert found.is_of_checkpoints
    cells = [cell for of in found.rows for cell in of.cells.values()]
    assert {cell.difference.between.text for cell in cells} == {"two checkpoints"}
