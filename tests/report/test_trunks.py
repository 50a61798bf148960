import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from codepretrain.files.json_values import plain
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import read_scores
from codepretrain.report.trunk_plots import slope_figure
from codepretrain.report.trunk_rows import continuation_rows, slope_tables
from codepretrain.report.trunks import find_trunks, trunks_of
from tests.report.replicated import LOSS, STEP, replicated_study

# Names that say nothing. Two trunks, each annealed with and without code.
LEVELS = {
    "x": (3.0, 3.3, 2.8),
    "y": (2.5, 2.6, 2.7),
    "p": (2.8, 3.05, 2.65),
    "q": (3.1, 3.35, 2.95),
    "u": (2.45, 2.5, 2.6),
    "v": (2.9, 3.0, 3.15),
}
CODE, TEXT = {"code": 0.25, "text": 0.75}, {"text": 1.0}
FOLLOWS = {"p": ("x", CODE), "q": ("x", TEXT), "u": ("y", CODE), "v": ("y", TEXT)}


def study_of_trunks(root, *, levels=LEVELS, variants=("p", "q", "u", "v"), num_items=20):
    """Replicate k of what follows a trunk starts from replicate k of the trunk."""
    study = replicated_study(root, levels, num_items=num_items)
    phases = dict(study.phases)
    paths = {name: list(of) for name, of in study.replicates.items()}
    for name, (trunk, weights) in FOLLOWS.items():
        for k, (phase,) in enumerate(study.replicates[name]):
            (parent,) = study.replicates[trunk][k]
            phases[phase] = replace(
                phases[phase],
                mixture=({"start_tokens": 0, "weights": weights},),
                parent=parent,
                parent_step=STEP,
                learning_rate={"start": 0.1, "peak": 0.1, "end": 0.0},
            )
            paths[name][k] = (parent, phase)
    return replace(
        study,
        phases=phases,
        baseline=None,
        variants={name: paths[name][0] for name in variants},
        replicates={name: tuple(paths[name]) for name in variants},
    )


def found_in(study):
    problems: list[str] = []
    results = collect(study)
    found = find_trunks(results, compare_to_baseline(results), None, Reader(read_scores, problems))
    assert problems == []
    return found


def test_equal_continuations_of_different_trunks_are_one_column(tmp_path):
    found = found_in(study_of_trunks(tmp_path))
    assert [one.letter for one in found.columns] == ["before", "A", "B"]
    assert [(t.name, t.phases) for t in found.trunks] == [
        ("x", {"before": "x", "A": "p", "B": "q"}),
        ("y", {"before": "y", "A": "u", "B": "v"}),
    ]
    assert [t.variants["A"] for t in found.trunks] == [("p",), ("u",)]
    rows = continuation_rows(found)
    assert [row["mixture"] for row in rows[1:]] == ["text 75%, code 25%", "text 100%"]
    assert [row["variants"] for row in rows] == ["x, y", "p, u", "q, v"]


def test_averages_are_no_continuations(tmp_path):
    study = study_of_trunks(tmp_path)
    averaged = {}
    for k, ((_, p), (_, q), (trunk, v)) in enumerate(
        zip(*(study.replicates[name] for name in "pqv"), strict=True)
    ):
        members = [{"phase": name, "step": STEP, "weight": 0.5} for name in (p, q)]
        averaged[v] = replace(
            study.phases[v],
            parent=None,
            parent_step=None,
            members=members,
            mixture=(),
            learning_rate={},
        )
        paths = study.replicates["v"][:k], study.replicates["v"][k + 1 :]
        study = replace(
            study, replicates={**study.replicates, "v": (*paths[0], (trunk, p, q, v), *paths[1])}
        )
    study = replace(
        study,
        phases={**study.phases, **averaged},
        variants={**study.variants, "v": study.replicates["v"][0]},
    )
    found = found_in(study)
    assert [(t.name, t.phases) for t in found.trunks] == [
        ("x", {"before": "x", "A": "p", "B": "q"}),
        ("y", {"before": "y", "A": "u"}),
    ]


def test_slopes_are_paired_by_trunk_and_compared_between_trunks(tmp_path):
    found = found_in(study_of_trunks(tmp_path))
    (loss,) = [of for of in found.slopes if of.row.evaluator == LOSS]
    points = {(point.trunk, point.letter): point for point in loss.points}
    values = {key: np.array(point.cell.values) for key, point in points.items()}
    gaps = values["x", "A"] - values["x", "before"]
    slope = points["x", "A"].slope
    assert slope.value == pytest.approx(gaps.mean())
    assert slope.estimate.components.seed == pytest.approx(np.var(gaps, ddof=1) / 3)
    assert slope.between.text == "recipes, 3 replicates"
    assert points["x", "before"].slope is None
    assert points["x", "A"].against_first is None
    other = values["y", "A"] - values["y", "before"]
    against = points["y", "A"].against_first
    assert against.value == pytest.approx(other.mean() - gaps.mean())
    expected = (np.var(gaps, ddof=1) + np.var(other, ddof=1)) / 3
    assert against.estimate.components.seed == pytest.approx(expected)
    # y falls less than x with the same continuation.
    assert slope_tables(found)[0]["rows"][1]["cells"][1]["against"].startswith("+")


def test_every_point_names_its_runs(tmp_path):
    found = found_in(study_of_trunks(tmp_path))
    values = plain(found.to_json())
    json.dumps(values, allow_nan=False)
    point = values["points"][1]
    assert (point["trunk"], point["continuation"], point["runs"]) == (
        "x",
        "A",
        ["p", "p-r1", "p-r2"],
    )
    assert len(point["values"]) == 3
    assert point["digest"]


def test_the_figure_has_a_line_per_trunk(tmp_path):
    svg = slope_figure(found_in(study_of_trunks(tmp_path)))
    ElementTree.fromstring(svg)
    assert svg.count("before") == 2  # a loss and a quiz


def test_a_trunk_alone_has_no_slopes(tmp_path):
    """One variant per trunk, none of which is another's trunk: nothing shares a trunk."""
    assert found_in(study_of_trunks(tmp_path, variants=("p", "u"))) is None


def test_a_trunk_that_is_a_variant_is_compared_with_what_follows(tmp_path):
    found = found_in(study_of_trunks(tmp_path, variants=("x", "p", "u")))
    assert [t.variants for t in found.trunks] == [
        {"before": ("x",), "A": ("p",)},
        {"before": (), "A": ("u",)},
    ]


def test_other_rates_tokens_or_starts_are_other_continuations(tmp_path):
    study = study_of_trunks(tmp_path)
    rate = {"start": 0.1, "peak": 0.1, "end": 0.1}
    phases = study.phases | {"u": replace(study.phases["u"], learning_rate=rate)}
    columns, trunks = trunks_of(collect(replace(study, phases=phases)))
    assert [one.letter for one in columns] == ["before", "A", "B", "C"]
    assert [t.phases for t in trunks] == [
        {"before": "x", "A": "q", "B": "p"},
        {"before": "y", "A": "v", "C": "u"},
    ]
    earlier = study.phases | {"q": replace(study.phases["q"], parent_step=STEP // 2)}
    _, trunks = trunks_of(collect(replace(study, phases=earlier)))
    assert [t.name for t in trunks] == [f"x at step {STEP}", f"x at step {STEP // 2}", "y"]
    assert "before" not in trunks[1].phases


def test_a_phase_that_reads_its_sources_again_is_another_continuation(tmp_path):
    """Repeated and fresh text from one trunk stood in two columns of one description."""
    study = study_of_trunks(tmp_path)
    again = replace(study.phases["p"], mixture=study.phases["q"].mixture, data_order="restart")
    found = found_in(replace(study, phases={**study.phases, "p": again}))
    assert [t.phases for t in found.trunks] == [
        {"before": "x", "A": "q", "B": "p"},
        {"before": "y", "A": "v", "C": "u"},
    ]
    rows = {row["letter"]: row["mixture"] for row in continuation_rows(found)}
    assert rows["A"] == "text 100%"
    assert rows["B"] == "text 100%; each source from its beginning"


def test_checkpoints_of_a_study_are_told_as_such(study):
    problems: list[str] = []
    results = collect(study)
    found = find_trunks(results, compare_to_baseline(results), None, Reader(read_scores, problems))
    (trunk,) = found.trunks  # the others have one continuation, which this one does not have
    assert trunk.name == "balanced_continue"
    assert trunk.variants == {
        "before": ("balanced_to_text",),
        "A": ("cooldown_text",),
        "B": ("cooldown_with_code",),
    }
    slopes = [p.slope for of in found.slopes for p in of.points if p.slope]
    assert all(not one.between.are_recipes for one in slopes)
    assert all(one.estimate is None for one in slopes)
