from dataclasses import replace

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import AveragesConfig
from codepretrain.inference.effects import relative_difference
from codepretrain.report.arms import arm_scores, find_arm
from codepretrain.report.averaged import compare_averages
from codepretrain.report.collect import collect
from codepretrain.report.phases import by_phase
from codepretrain.report.published import beside_published
from codepretrain.report.published_rows import effect_rows, table_rows
from codepretrain.report.published_tables import tables
from tests.report.replicated import replicated_study
from tests.test_experiments import EXPERIMENTS

AVERAGES = AveragesConfig(categories={"reasoning": ("quiz/accuracy",)})
LEVELS = {"text_pretrain": (3.0, 3.02, 2.97), "balanced_pretrain": (2.5, 2.55, 2.52)}


def beside(tmp_path, **changes):
    study = replicated_study(tmp_path, LEVELS)
    study = replace(study, study="initialization", averages=AVERAGES, **changes)
    results = collect(study)
    averages = compare_averages(results)
    return averages, beside_published(results, averages)


def test_the_papers_totals_are_the_means_of_its_categories():
    """A check of what was copied: Table 2 rounds to one decimal."""
    for table in tables()["tables"]:
        for of in table["phases"].values():
            language = (of["reasoning"] + of["world_knowledge"]) / 2
            assert of["natural_language"] == pytest.approx(language, abs=0.1001)
            total = (of["reasoning"] + of["world_knowledge"] + of["code"]) / 3
            assert of["total"] == pytest.approx(total, abs=0.1001)


def test_the_published_phases_and_averages_are_those_of_the_experiment():
    config = load_study(EXPERIMENTS / "initialization.py")
    averages = {*config.averages.categories, *config.averages.totals}
    (table,) = (one for one in tables()["tables"] if "initialization" in one["studies"])
    assert table["phases"].keys() == config.phases.keys()
    ours = {"reasoning_9_tasks"}
    assert {name for of in table["phases"].values() for name in of} == averages - ours
    for one in [*table["effects"], *table["contradictions"]]:
        phases = one.get("phases") or [one["phase"], one["reference"]]
        assert set(phases) <= config.phases.keys()


def test_every_cell_of_ours_has_its_interval_over_replicates(tmp_path):
    averages, published = beside(tmp_path)
    assert published is not None
    (row,) = published.rows
    cell = published.cells["text_pretrain"][0]
    assert cell.published == 49.0
    assert cell.ours.runs == ("text_pretrain", "text_pretrain-r1", "text_pretrain-r2")
    assert cell.ours.interval == averages.comparison.cells[row, "text_pretrain"].interval
    (name, (text,)), _ = table_rows(published)
    assert (name, text.published) == ("text_pretrain", "49.0")
    assert "–" in text.interval


def test_a_stated_effect_that_its_table_contradicts_is_flagged(tmp_path):
    averages, published = beside(tmp_path)
    (effect,) = published.effects
    assert (effect.stated, effect.implied) == (3.2, pytest.approx(5.714, abs=1e-3))
    assert effect.is_contradicted
    (row,) = published.rows
    phases = by_phase(averages.results)
    arms = [find_arm(phases, name, row) for name in reversed(LEVELS)]
    scores = [arm_scores(arm, averages.averages.read) for arm in arms if arm is not None]
    ours, baseline = (arm for arm in scores if arm is not None)
    assert effect.ours == relative_difference(ours, baseline)
    (text,) = effect_rows(published)
    assert (text.stated, text.implied) == ("+3.2%", "+5.7%")


def test_other_studies_and_other_phases_have_no_published_numbers(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    results = collect(replace(study, averages=AVERAGES))
    assert beside_published(results, compare_averages(results)) is None
    assert beside_published(results, None) is None


def test_every_phase_has_its_replicates_and_a_shared_trunk_one(study):
    """The trunk of two variants is one phase; unreplicated phases are themselves."""
    phases = by_phase(collect(study))
    assert list(phases.spec.variants) == list(study.phases)
    assert phases.spec.variants["cooldown_text"] == study.variants["cooldown_text"]
    assert phases.spec.replicates["balanced_init"] == (("balanced_init",),)
