import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from codepretrain.config.schema import AveragesConfig
from codepretrain.evals import multiple_choice
from codepretrain.evals.estimate import proportion
from codepretrain.files.json_values import plain
from codepretrain.inference.crossed import difference
from codepretrain.inference.interval import Interval
from codepretrain.report.averaged import compare_averages
from codepretrain.report.between import TWO_CHECKPOINTS
from codepretrain.report.cells import Cell
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import read_scores
from codepretrain.report.pareto import Lead, ParetoPoint, corrected, front, one_sided, pareto
from codepretrain.report.pareto_view import pareto_figure, pareto_rows
from codepretrain.report.statistics import Difference
from tests.inference.simulated import Scenario
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study

METRICS = (f"{LOSS}/{LOSS_METRIC}", "quiz/accuracy")
LEVELS = {
    "plain": (3.0, 3.02, 2.97, 3.01),
    "coded": (2.5, 2.55, 2.52, 2.49),
    "close": (2.53, 2.54, 2.5, 2.56),
}


def found_in(study, metrics=METRICS):
    problems: list[str] = []
    results = collect(replace(study, pareto=metrics))
    found = pareto(results, compare_averages(results), Reader(read_scores, problems))
    assert problems == []
    return found


def test_the_front_by_hand() -> None:
    points = [[1.0, 3.0], [2.0, 2.0], [1.5, 1.9], [1.0, 2.0], [3.0, 0.0], [2.0, 2.0]]
    assert front(np.array(points)).tolist() == [True, True, False, False, True, True]


def test_a_lead_of_the_other_sign_is_none() -> None:
    """Where runs per trunk are unequal, the mean of an arm may lead and the difference not."""
    ahead = Difference(0.5, Interval(0.1, 0.9), 0.02, 9, True, "")
    assert one_sided(ahead, "higher") == pytest.approx(0.01)
    assert one_sided(ahead, "lower") == pytest.approx(0.99)


def test_a_variant_is_behind_if_both_leads_are_found(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    points = {point.variant: point for point in found_in(study).points}
    assert points["coded"].is_on_front
    assert points["plain"].is_behind
    assert not points["close"].is_behind
    comparison = compare_to_baseline(collect(study))  # against plain
    p_values = {
        row.evaluator: cell.difference.p_value
        for (row, variant), cell in comparison.cells.items()
        if variant == "coded"
    }
    lead = next(one for one in points["plain"].leads if one.variant == "coded")
    assert lead.p_value == pytest.approx(max(p_values.values()) / 2)
    # The smallest of the 3 · 2 ordered pairs, or the next one if "close" is on the front too.
    assert lead.adjusted_p / lead.p_value == pytest.approx(6) or len(points["plain"].leads) == 2
    assert lead.between.text == "recipes, 4 replicates"


def test_text_says_which_variant_leads_and_how_surely(tmp_path):
    found = found_in(replicated_study(tmp_path, LEVELS))
    places = {row["variant"]: str(row["place"]) for row in pareto_rows(found)}
    assert places["coded"] == "on the front"
    assert places["plain"].startswith("behind c")
    assert "(recipes, 4 replicates)" in places["plain"]
    json.dumps(plain(found.to_json()), allow_nan=False)
    ElementTree.fromstring(pareto_figure(found, list(LEVELS)))


def test_runs_of_several_variants_are_one_point(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    twice = replace(
        study,
        variants={**study.variants, "twin": study.variants["coded"]},
        replicates={**study.replicates, "twin": study.replicates["coded"]},
    )
    points = {point.variant: point for point in found_in(twice).points}
    assert points["coded"].others == ("twin",)
    assert "twin" not in points


def test_a_variant_with_a_run_that_diverged_is_not_on_the_front(tmp_path):
    levels = LEVELS | {"diverged": (2.5, np.nan, 2.4), "gone": (np.nan, np.nan)}
    found = found_in(replicated_study(tmp_path, levels))
    assert [point.variant for point in found.points] == ["plain", "coded", "close"]


def test_checkpoints_are_called_so(tmp_path):
    levels = {name: of[:1] for name, of in LEVELS.items()}
    found = found_in(replicated_study(tmp_path, levels))
    assert all(lead.between.text == "two checkpoints" for p in found.points for lead in p.leads)
    assert not any("recipes" in str(row["place"]) for row in pareto_rows(found))


def test_averages_are_metrics_too_and_without_metrics_there_is_nothing(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    averages = AveragesConfig(categories={"answers": ("quiz/accuracy",)})
    found = found_in(replace(study, averages=averages), ("answers", METRICS[0]))
    assert [row.evaluator for row in found.rows] == ["answers", LOSS]
    assert found_in(study, ()) is None
    assert found_in(study, ("exam/accuracy", METRICS[0])) is None


CELL = Cell(
    runs=(),
    step=0,
    digest="",
    metric=multiple_choice.ACCURACY.metric(proportion(np.ones(1))),
    values=(),
    interval=Interval(0, 1),
)


def simulated(rng, effects):
    """Returns which arms are behind: three runs of each, two metrics with runs in common."""
    scenario = Scenario(effects=effects, num_replicates=(3,) * len(effects), num_clusters=40)
    runs = scenario.draw_runs(rng)
    metrics = [scenario.draw(rng, runs) for _ in range(2)]
    values = np.array([[arms[i].metrics.mean() for arms in metrics] for i in range(len(effects))])
    is_front = front(values)
    points = []
    for i in range(len(effects)):
        leads = [
            Lead(
                variant=str(j),
                p_value=max(difference(arms[j], arms[i]).p_value for arms in metrics) / 2,
                between=TWO_CHECKPOINTS,
            )
            for j in np.flatnonzero(is_front)
            if (values[j] > values[i]).all()
        ]
        points.append(
            ParetoPoint(
                variant=str(i),
                others=(),
                cells=(CELL, CELL),
                is_on_front=bool(is_front[i]),
                leads=tuple(leads),
            )
        )
    return [point.is_behind for point in corrected(points)]


def test_equal_variants_are_hardly_ever_behind_and_a_clear_one_is() -> None:
    rng = np.random.default_rng(0)
    equal = [any(simulated(rng, (0.0,) * 4)) for _ in range(100)]
    assert np.mean(equal) <= 0.07
    clear = [simulated(rng, (0.0, 0.0, 0.0, 2.0)) for _ in range(20)]
    assert np.mean([of[:3] for of in clear]) > 0.6
    assert not any(of[3] for of in clear)


def test_a_lead_is_found_after_correction() -> None:
    lead = Lead(variant="a", p_value=0.001, between=TWO_CHECKPOINTS)
    assert not lead.is_found
    assert replace(lead, adjusted_p=0.01).is_found
