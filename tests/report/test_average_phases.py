"""Phases that are averages, in tables, curves and paths."""

from dataclasses import replace
from pathlib import Path

import pytest

from codepretrain.inference.common_starts import common_starts
from codepretrain.report.accounts import phase_rows
from codepretrain.report.arms import find_arm
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import ReportInput, StudyResults, collect
from codepretrain.report.curves import spans
from codepretrain.report.phases import by_phase
from codepretrain.report.write import content_of, write_report
from tests.report.replicated import STEP, replicated_study

ANNEALS = ("plain", "again")
PATH = ("balanced_init", "balanced_continue", "cooldown_text", "cooldown_code", "soup")


def with_soup(study: ReportInput) -> StudyResults:
    """Adds a soup of the two cooldowns, and an average that no variant has."""
    one = study.phases["cooldown_text"]
    soup = replace(
        one,
        fingerprint="soup",
        parent=None,
        parent_step=None,
        members=[
            {"phase": name, "step": study.phases[name].steps, "weight": 0.5}
            for name in ("cooldown_text", "cooldown_code")
        ],
        steps=1,
        tokens=0,
        requested_tokens=0,
        tokens_before=one.tokens_before + one.tokens,
        mixture=(),
        tokens_per_source={},
        learning_rate={},
    )
    two = [{"phase": "soup", "step": 1, "weight": weight} for weight in (0.25, 0.75)]
    alone = replace(soup, members=two, fingerprint="alone")
    spec = replace(
        study,
        phases={**study.phases, "soup": soup, "alone": alone},
        variants={**study.variants, "soup": PATH},
    )
    return collect(spec)


def test_phases_are_described(study: ReportInput) -> None:
    rows = {row["name"]: row for row in phase_rows(with_soup(study))}
    steps = study.phases["cooldown_text"].steps
    assert rows["soup"]["parent"] == (
        f"average of cooldown_text at step {steps:,} and cooldown_code at step {steps:,}"
    )
    assert (rows["soup"]["tokens"], rows["soup"]["learning_rate"]) == ("0", "–")
    assert rows["alone"]["parent"].endswith(", weights 0.25 : 0.75")


def test_a_path_and_its_curve(study: ReportInput) -> None:
    results = with_soup(study)
    spelled = "balanced_init → balanced_continue → cooldown_text, cooldown_code → soup"
    assert results.spec.spelled_path("soup") == spelled
    assert results.spec.spelled_path("text_only") == "text_pretrain"
    drawn = spans(results, "soup")
    assert [span.run.name for span in drawn] == [*PATH[:3], "soup"]
    assert drawn[-1].start == drawn[-1].end == drawn[-2].end
    assert drawn[-1].mixture() == []


def test_members_are_not_on_the_paths_of_each_other(study: ReportInput) -> None:
    of_phases = by_phase(with_soup(study)).spec.variants
    assert of_phases["cooldown_code"] == (*PATH[:2], "cooldown_code")
    assert of_phases["soup"] == PATH
    assert of_phases["alone"] == ("alone",)


def test_arms_start_where_their_members_do(study: ReportInput) -> None:
    results = with_soup(study)
    run = results.runs["cooldown_text"]
    name, metric = next(iter(run.evaluations[-1].metrics.items()))
    row = MetricRow.of(run.evaluations[-1].evaluator, name, metric)
    moved = replace(results.runs["soup"], evaluations=())
    evaluated = replace(moved, evaluations=(replace(run.evaluations[-1], step=1),))
    for ending, start in (("soup", "balanced_init"), ("alone", "alone")):
        runs = {**results.runs, ending: replace(evaluated, plan=results.runs[ending].plan)}
        found = by_phase(replace(results, runs=runs))
        arm = find_arm(found, ending, row)
        assert arm is not None
        assert arm.starts == (results.runs[start].plan.run_dir,)


def test_runs_with_a_common_start_are_connected() -> None:
    assert common_starts([]) == []
    assert common_starts([["a"], ["b"], ["b", "c"], ["c"], ["d"]]) == ["a", "b", "b", "b", "d"]
    assert common_starts([["x", "a"], ["y", "b"], ["b", "x"]]) == ["a", "a", "a"]


@pytest.fixture
def of_replicates(tmp_path: Path) -> ReportInput:
    """Two replicates of a trunk, two anneals of its mixture and their soup, which is named first.

    All have the trunk's length, so that "short" and "plain" are two lengths of one mixture.
    """
    levels = {name: (3.0 - i / 9, 3.02 - i / 9) for i, name in enumerate(("trunk", *ANNEALS))}
    known = replicated_study(tmp_path, {**levels, "soup": (2.6, 2.62)})
    phases = dict(known.phases)
    for k in ("", "-r1"):
        trunk = phases[f"trunk{k}"]
        for name in ANNEALS:
            phases[name + k] = replace(
                phases[name + k], parent=f"trunk{k}", parent_step=STEP, tokens_before=trunk.tokens
            )
        members = [{"phase": name + k, "step": STEP, "weight": 0.5} for name in ANNEALS]
        phases[f"soup{k}"] = replace(
            phases[f"soup{k}"],
            members=members,
            tokens=0,
            requested_tokens=0,
            tokens_before=2 * trunk.tokens,
            mixture=(),
            tokens_per_source={},
            learning_rate={},
        )
    paths = {"soup": ("trunk", *ANNEALS, "soup"), "short": ("trunk",)}
    paths |= {name: ("trunk", name) for name in ANNEALS}
    return replace(
        known,
        phases=phases,
        variants=paths,
        replicates={
            name: (path, tuple(f"{phase}-r1" for phase in path)) for name, path in paths.items()
        },
        baseline="plain",
    )


def test_a_report_of_all_sections(of_replicates: ReportInput, tmp_path: Path) -> None:
    """An average is no continuation of a trunk, and no point of a curve over tokens."""
    assert write_report(of_replicates, tmp_path / "report").exists()
    sections = content_of(collect(of_replicates)).sections
    assert sections.trunks is not None
    assert [(t.name, set(t.phases.values())) for t in sections.trunks.trunks] == [
        ("trunk", {"trunk", *ANNEALS})
    ]
    assert sections.tokens is not None
    assert sections.tokens.curve == ((STEP, "short"), (2 * STEP, "plain"))
    assert "soup" in {one.variant for one in sections.tokens.found}
