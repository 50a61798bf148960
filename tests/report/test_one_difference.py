"""One difference of two single runs: the same numbers in every section that shows it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.evals import estimate
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.inference.crossed import contrast
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import Interval
from codepretrain.report.arms import ScoresReader, arm_scores, find_arm
from codepretrain.report.averaged import Averaged, compare_averages
from codepretrain.report.averages import METRIC
from codepretrain.report.cells import MetricRow
from codepretrain.report.checkpoints import Checkpoint, compare_checkpoints
from codepretrain.report.collect import ReportInput, RunResults, StudyResults
from codepretrain.report.compare import Comparison, compare_pairs, compare_to_baseline
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.heatmap import heatmap
from codepretrain.report.paired import PairedScores, paired_difference
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.trunks import find_trunks
from tests.report.replicated import STEP, phase

ACCURACY = MetricSpec(
    name="score", unit="fraction", direction="higher", cluster="document", is_primary=True
)
LOSS = replace(ACCURACY, unit="nats/token", direction="lower")
CHANCE = {"items": 0.5, "documents": 0.25, "rare": 0.0, "equal": 0.25, "strata": 0.25, "loss": None}
VARIANTS = ("plain", "coded", "other")
RUNS = (*VARIANTS, "trunk")


def of(
    values: np.ndarray, size: int, strata: np.ndarray | None = None, *, weighted: bool = False
) -> PairedScores:
    """Returns scores of items in documents of a size."""
    weights = np.random.default_rng(9).integers(50, 90, len(values)) * 1.0 if weighted else None
    return PairedScores(
        ids=[f"i{i}" for i in range(len(values))],
        clusters=[f"d{i // size}" for i in range(len(values))],
        values=values if weights is None else values * weights,
        weights=weights,
        strata=strata,
    )


def scores_of_run(name: str) -> dict[str, PairedScores]:
    rng = np.random.default_rng(RUNS.index(name))
    rare = np.zeros(148)
    rare[0 if name == "coded" else 80] = float(name != "plain")
    return {
        "items": of((rng.random(40) < 0.7) * 1.0, 1),
        "documents": of((rng.random(60) < 0.4) * 1.0, 5),
        "rare": of(rare, 7),
        "equal": of(np.zeros(24), 3),
        "strata": of((rng.random(30) < 0.1) * 1.0, 2, np.repeat([0.0, 1.0], [20, 10])),
        "loss": of(rng.normal(3, 0.1, 30), 2, weighted=True),
    }


TABLES = {name: scores_of_run(name) for name in RUNS}
SPEC = ReportInput(
    study="one",
    command="",
    code_version="",
    baseline="plain",
    variants={name: ("trunk", name) for name in VARIANTS},
    phases={
        "trunk": phase(Path("/nowhere"), "trunk"),
        **{
            name: replace(phase(Path("/nowhere"), name), parent="trunk", parent_step=STEP)
            for name in VARIANTS
        },
    },
    evaluators={name: {"spec": name} for name in CHANCE},
    rows={},
)
CATEGORIES = {"all": tuple(f"{name}/score" for name in CHANCE if name != "loss")}


def measured(task: str, scores: PairedScores) -> Metric:
    spec = LOSS if task == "loss" else ACCURACY
    found = estimate.clustered_mean(scores.values, scores.clusters, weights=scores.weights)
    return spec.metric(found, null_value=CHANCE[task])


def read(evaluation: Evaluation) -> Mapping[str, PairedScores]:
    return {"score": TABLES[evaluation.folder][evaluation.evaluator]}


def study() -> StudyResults:
    contrasts = {
        f"{name}-{task}": ContrastConfig(
            metric=metric, direction="different", variants=(name, "plain")
        )
        for task, metric in {"all": "all", **{of: f"{of}/score" for of in CHANCE}}.items()
        for name in ("coded", "other")
    }
    averages = AveragesConfig(categories=CATEGORIES)
    runs = {
        name: RunResults(
            name=name,
            plan=replace(SPEC.phases[name], run_dir=name),
            log=({"step": STEP},),
            evaluations=tuple(
                Evaluation(
                    step=STEP,
                    evaluator=task,
                    digest=task,
                    identity={"spec": task},
                    metrics={"score": measured(task, scores)},
                    folder=name,
                )
                for task, scores in tables.items()
            ),
            unusable={},
            sessions=(),
            starts=(),
            ledger=None,
            provenance={},
            problems=(),
        )
        for name, tables in TABLES.items()
    }
    spec = replace(SPEC, averages=averages, contrasts=contrasts)
    return StudyResults(spec=spec, runs=runs, manifests={}, problems=())


@pytest.fixture(autouse=True, scope="module")
def _tables() -> Iterator[None]:
    """Scores are read from `TABLES`, not from files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codepretrain.report.score_reader.read_scores", read)
        yield


@pytest.fixture(name="results", scope="module")
def _results() -> StudyResults:
    return study()


@pytest.fixture(name="averages", scope="module")
def _averages(results: StudyResults) -> Averaged:
    reader = ScoreReader()
    found = compare_averages(results, reader)
    assert found is not None
    return found


def intervals(comparison: Comparison) -> dict[tuple[str, str], tuple[float, Interval]]:
    return {
        (row.evaluator, variant): (cell.difference.value, cell.difference.interval)
        for (row, variant), cell in comparison.cells.items()
        if cell.difference is not None
    }


@pytest.fixture(name="expected", scope="module")
def _expected(
    results: StudyResults, averages: Averaged
) -> dict[tuple[str, str], tuple[float, Interval]]:
    """The differences of the table of variants, from "plain"."""
    found = intervals(compare_to_baseline(results, read=read)) | intervals(averages.comparison)
    assert len(found) == 2 * (len(CHANCE) + 1)
    return found


def between_checkpoints(
    results: StudyResults, row: MetricRow, names: Sequence[str], reader: ScoresReader
) -> Estimate:
    """Returns the contrast of the arms of two variants."""
    arms = [find_arm(results, name, row) for name in names]
    scores = [arm_scores(arm, reader, is_checked=False) for arm in arms if arm is not None]
    return contrast([of for of in scores if of is not None], [1, -1], between="checkpoints")


def same(found: tuple[float, Interval], expected: tuple[float, Interval]) -> None:
    assert found[0] == pytest.approx(expected[0], abs=1e-12)
    for end in ("low", "high"):
        assert getattr(found[1], end) == pytest.approx(getattr(expected[1], end), abs=1e-12)
    assert math.isfinite(found[1].low)


def test_contrasts_of_single_runs(results: StudyResults, averages: Averaged, expected) -> None:
    found = {one.name: one for one in decide_contrasts(results, averages, [], read=read)}
    for (task, variant), difference in expected.items():
        one = found[f"{variant}-{task}"]
        same((one.value, one.interval), difference)


@pytest.mark.parametrize("with_averages", [True, False])
def test_slopes(results: StudyResults, averages: Averaged, expected, with_averages: bool) -> None:
    """Two continuations of one trunk; slopes are from the trunk's own end, so both are."""
    variants = {**SPEC.variants, "trunk": ("trunk",)}
    spec = replace(results.spec, variants=variants, baseline="trunk")
    spec = spec if with_averages else replace(spec, averages=AveragesConfig())
    whole = replace(results, spec=spec)
    of_whole = compare_averages(whole, ScoreReader())
    table = compare_to_baseline(whole, read=read)
    trunks = find_trunks(whole, table, of_whole, Reader(read, []))
    assert trunks is not None
    in_table = intervals(table) | (intervals(of_whole.comparison) if of_whole else {})
    slopes = {
        (section.row.evaluator, point.phase): point.slope
        for section in trunks.slopes
        for point in section.points
        if point.slope is not None
    }
    assert {task for task, _ in slopes} == ({"all"} if with_averages else set(CHANCE))
    for (task, variant), slope in slopes.items():
        same((slope.value, slope.interval), in_table[task, variant])


def test_pairs(results: StudyResults, expected) -> None:
    (pair,) = compare_pairs(results, read=read)
    turned = intervals(
        compare_to_baseline(
            replace(results, spec=replace(results.spec, baseline="coded")), read=read
        )
    )
    for (task, variant), difference in intervals(pair).items():
        assert variant == "other"
        same(difference, turned[task, "other"])


def test_the_unit_of_the_heat_map_is_the_error_of_the_difference(
    results: StudyResults, expected
) -> None:
    table = compare_to_baseline(results, read=read)
    found = heatmap(results, table, Reader(read, []))
    assert found is not None
    seen = 0
    for row in found.rows:
        for variant, cell in row.cells.items():
            one = between_checkpoints(results, row.row, (variant, "plain"), read)
            assert cell.standard_error == pytest.approx(one.standard_error)
            same((one.value, one.interval), expected[row.row.evaluator, variant])
            seen += 1
    assert seen >= 8


def test_the_command_compare(results: StudyResults, expected) -> None:
    pair = [
        Checkpoint(
            name=f"{name}@{STEP}",
            folder=epath.Path(name),
            step=STEP,
            evaluations=results.runs[name].evaluations,
        )
        for name in ("coded", "plain")
    ]
    for (task, _), difference in intervals(compare_checkpoints(*pair)).items():
        same(difference, expected[task, "coded"])


def test_centered_averages(averages: Averaged) -> None:
    """Each task above its chance: through the pair, and through the arms of a contrast."""
    (row,) = averages.comparison.rows
    read_centered = partial(averages.averages.read, is_centered=True)
    arms = [find_arm(averages.results, name, row) for name in ("coded", "plain")]
    pair = [read_centered(arm.evaluations[0])[METRIC] for arm in arms if arm is not None]
    difference = paired_difference(*pair, is_fraction=True)
    one = between_checkpoints(averages.results, row, ("coded", "plain"), read_centered)
    same((difference.value, difference.interval), (one.value, one.interval))


def test_the_range_of_a_centered_average_by_hand(averages: Averaged) -> None:
    """Equal answers: the two pairs of each task have 1/(1 - c) of its share, 1/5, over n + 2."""
    (row,) = averages.comparison.rows
    read_centered = partial(averages.averages.read, is_centered=True)
    found = between_checkpoints(averages.results, row, ("plain", "plain"), read_centered)
    # Documents: 40 items, 12, √(22 · 148² / Σ size²), 8; 10 and 5 in strata.
    of_rare = math.sqrt(22 * 148**2 / (21 * 7**2 + 1))
    terms = [
        (0, 40, 2 / (40 + 2)),
        (0, 12, 4 / 3 / (12 + 2)),
        (0, 22, 1 / (of_rare + 2)),
        (0, 8, 4 / 3 / (8 + 2)),
        (0, 10, 2 / 3 * 4 / 3 / (10 + 2)),
        (10, 15, 1 / 3 * 4 / 3 / (5 + 2)),
    ]
    of_documents = np.zeros(40)  # the tasks have documents in common
    for first, end, term in terms:
        of_documents[first:end] += term / math.sqrt(end - first)
    assert found.standard_error == pytest.approx(np.linalg.norm(of_documents) / 5)
