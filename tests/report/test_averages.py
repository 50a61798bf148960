"""Averages over evaluations, with values that are computed by hand."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from codepretrain.config.averages import all_shares
from codepretrain.config.schema import AveragesConfig, LoggingConfig
from codepretrain.evals.estimate import clustered_mean
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.evals.metric import MetricSpec
from codepretrain.metrics.item_files import item_file
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.report.averages import METRIC, average
from codepretrain.report.collect import PhaseInput, ReportInput, collect
from codepretrain.report.compare import compare_to_baseline

SHARE = MetricSpec(name="*", unit="fraction", direction="higher", cluster="item")
CONFIG = AveragesConfig(
    categories={
        "reasoning": ("suite/boolq/accuracy", "suite/piqa/accuracy"),
        "code": ("human_eval/pass_at_1", "mbpp/pass_at_1"),
    },
    totals={"total": ("reasoning", "code")},
)
IDENTITIES = {
    name: {"spec": name, "items": f"{name} items", "grader": "1"}
    for name in ("suite", "human_eval", "mbpp")
}
SUITE = {"boolq/accuracy": (1, 1, 1, 0), "piqa/accuracy": (1, 0)}
HUMAN_EVAL = {"pass_at_1": (1, 0, 0, 0)}
MBPP = {"pass_at_1": (1, 1, 0, 0)}
ALL: Mapping[str, Mapping[str, Sequence[float]]] = {
    "suite": SUITE,
    "human_eval": HUMAN_EVAL,
    "mbpp": MBPP,
}


def phase(root: Path, name: str) -> PhaseInput:
    return PhaseInput(
        run_dir=str(root / name),
        mixture=(),
        fingerprint="f",
        parent=None,
        parent_step=None,
        steps=20,
        tokens=20,
        requested_tokens=20,
        tokens_before=0,
        tokens_per_source={},
        epochs_per_source={},
        learning_rate={},
    )


def study(root: Path, config: AveragesConfig = CONFIG) -> ReportInput:
    return ReportInput(
        study="s",
        command="c",
        code_version="v",
        baseline="first",
        variants={"first": ("first",), "second": ("second",)},
        phases={name: phase(root, name) for name in ("first", "second")},
        evaluators=IDENTITIES,
        rows={},
        averages=config,
    )


def writer_of(folder: Path, step: int) -> MetricsWriter:
    logging = LoggingConfig(write_tensorboard=False)
    return MetricsWriter(folder, logging, folder.name, resumed_step=step)


def record(
    root: Path,
    run: str,
    results: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    step: int = 20,
    clusters: Mapping[str, Sequence[str]] | None = None,
    **identity: str,
) -> None:
    """Records evaluations; `clusters` are those of a metric's items, by default one for each."""
    with writer_of(root / run, step) as writer:
        writer.log_step({"step": step, "tokens": step, "loss": 1.0})
        for evaluator, metrics in results.items():
            ids = [f"{m}/{i}" for m, values in metrics.items() for i in range(len(values))]
            names = [
                (clusters or {}).get(m, [f"{evaluator}/{m}/{i}" for i in range(len(values))])
                for m, values in metrics.items()
            ]
            scores, found = {}, {}
            for number, (metric, values) in enumerate(metrics.items()):
                parts = [np.full(len(of), np.nan) for of in metrics.values()]
                parts[number] = np.array(values, np.float64)
                scores[metric] = np.concatenate(parts)
                chance = 0.5 if evaluator == "suite" else 0.0
                estimate = clustered_mean(values, names[number])
                found[metric] = SHARE.metric(estimate, null_value=chance).to_json()
            which = {**IDENTITIES[evaluator], **identity}
            digest = identity_digest(which)
            items = ItemScores(ids, scores, [], [name for of in names for name in of])
            marks = write_item_scores(root / run, evaluator, step, digest, items)
            writer.log_evaluation(
                step=step,
                tokens=step,
                evaluator=evaluator,
                metrics=found,
                identity=which,
                digest=digest,
                items=marks,
            )


def values(spec: ReportInput, run: str = "first", step: int = 20) -> dict[str, Any]:
    found = average(collect(spec)).results.runs[run].evaluations
    return {e.evaluator: e.metrics[METRIC] for e in found if e.step == step}


def missing(spec: ReportInput, run: str = "first", step: int = 20) -> dict[str, tuple[str, ...]]:
    found = average(collect(spec)).missing
    return {m.average: m.reasons for m in found if m.phase == run and m.step == step}


def test_categories_and_totals_are_means_of_means_with_the_errors_of_their_tasks(
    tmp_path: Path,
) -> None:
    """Means 3/4, 1/2, 1/4, 1/2; squared errors of the means 1/16, 1/4, 1/16, 1/12."""
    record(tmp_path, "first", ALL)
    found = values(study(tmp_path))
    assert list(found) == ["reasoning", "code", "total"]
    assert [m.value for m in found.values()] == pytest.approx([5 / 8, 3 / 8, 1 / 2])
    reasoning, code = (1 / 16 + 1 / 4) / 4, (1 / 16 + 1 / 12) / 4
    assert [m.standard_error**2 for m in found.values()] == pytest.approx(
        [reasoning, code, (reasoning + code) / 4]
    )
    assert [m.null_value for m in found.values()] == [0.5, 0, 0.25]
    assert [(m.count, m.num_items) for m in found.values()] == [(6, 6), (8, 8), (14, 14)]
    # Satterthwaite: (a + b)² / (a² / 3 + b² / 1) for the variances of boolq and piqa.
    assert found["reasoning"].freedom == pytest.approx((5 / 16) ** 2 / (1 / 16**2 / 3 + 1 / 16))
    assert all(m.is_primary for m in found.values())


def test_a_category_counts_once_in_a_total_however_many_tasks_it_has() -> None:
    config = AveragesConfig(
        categories={"a": ("x/1", "x/2", "x/3"), "b": ("y/1",)}, totals={"t": ("a", "b")}
    )
    assert all_shares(config)["t"] == pytest.approx(
        {"x/1": 1 / 6, "x/2": 1 / 6, "x/3": 1 / 6, "y/1": 1 / 2}
    )


def test_the_papers_own_table_is_reproduced() -> None:
    """Table 2, text-only before cooldown: 49.0, 9.5 and 0.4 make 29.2 and 19.6."""
    config = AveragesConfig(
        categories={"reasoning": ("r/m",), "knowledge": ("k/m",), "code": ("c/m",)},
        totals={
            "language": ("reasoning", "knowledge"),
            "total": ("reasoning", "knowledge", "code"),
        },
    )
    scores = {"r/m": 49.0, "k/m": 9.5, "c/m": 0.4}
    shares = all_shares(config)
    found = {n: sum(scores[s] * w for s, w in shares[n].items()) for n in config.totals}
    assert found == pytest.approx({"language": 29.25, "total": 19.63}, abs=0.005)


def test_items_of_one_document_in_two_tasks_are_one_cluster(tmp_path: Path) -> None:
    """Equal answers: the average is as uncertain as one task. Opposite answers: it is certain."""
    shared = {"boolq/accuracy": ["d1", "d2"], "piqa/accuracy": ["d1", "d2"]}
    spec = study(tmp_path, replace(CONFIG, totals={}))
    equal = {"suite": {"boolq/accuracy": (1, 0), "piqa/accuracy": (1, 0)}}
    record(tmp_path, "first", equal, clusters=shared)
    found = values(spec)["reasoning"]
    assert found.standard_error == pytest.approx(0.5)
    assert (found.count, found.num_items, found.freedom) == (2, 4, 1)
    opposite = {"suite": {"boolq/accuracy": (1, 0), "piqa/accuracy": (0, 1)}}
    record(tmp_path, "second", opposite, clusters=shared)
    assert values(spec, "second")["reasoning"].standard_error == pytest.approx(0, abs=1e-12)
    record(tmp_path, "second", equal, step=10)
    assert values(spec, "second", step=10)["reasoning"].standard_error == pytest.approx(0.5**1.5)


def test_two_evaluations_share_clusters_too(tmp_path: Path) -> None:
    names = {"pass_at_1": ["d1", "d2"]}
    for evaluator in ("human_eval", "mbpp"):
        record(tmp_path, "first", {evaluator: {"pass_at_1": (1, 0)}}, clusters=names)
    assert values(study(tmp_path))["code"].standard_error == pytest.approx(0.5)


def test_a_task_of_which_nothing_was_solved_is_no_certainty(tmp_path: Path) -> None:
    """0 of 4 has the error of 1.92 of 7.84: 0.1536."""
    record(tmp_path, "first", {"human_eval": {"pass_at_1": (0,) * 4}, "mbpp": MBPP})
    found = values(study(tmp_path))["code"]
    assert found.value == 0.25
    assert found.standard_error == pytest.approx(math.hypot(0.15357, math.sqrt(1 / 12)) / 2, 1e-4)


def test_without_item_scores_the_tasks_are_taken_as_independent(tmp_path: Path) -> None:
    shared = {"boolq/accuracy": ["d1", "d2"], "piqa/accuracy": ["d1", "d2"]}
    record(
        tmp_path,
        "first",
        {"suite": {"boolq/accuracy": (1, 0), "piqa/accuracy": (1, 0)}},
        clusters=shared,
    )
    digest = identity_digest(IDENTITIES["suite"])
    path = item_file(tmp_path / "first", "suite", 20, digest)
    path.unlink()
    found = values(study(tmp_path))["reasoning"]
    assert found.standard_error == pytest.approx(0.5**1.5)
    path.write_bytes(b"damaged")
    assert "is damaged" in average(collect(study(tmp_path))).problems[0]
    assert values(study(tmp_path))["reasoning"] == found


def test_differences_are_paired_over_the_same_tasks_of_all_variants(tmp_path: Path) -> None:
    """BoolQ +1 of 4 items, and all tasks of 2, 4 and 4 others equal: two more pairs in each.

    BoolQ: 1/4 · 4/6 and (1 + 1 - 1/6)/6²; the others 0 and 1/4², 1/6², 1/6².
    """
    record(tmp_path, "first", ALL)
    changed = {"boolq/accuracy": (1, 1, 1, 1), "piqa/accuracy": (1, 0)}
    record(tmp_path, "second", {**ALL, "suite": changed})
    averages = average(collect(study(tmp_path)))
    comparison = compare_to_baseline(averages.results, read=averages.read)
    found = {
        row.evaluator: cell.difference
        for (row, variant), cell in comparison.cells.items()
        if variant == "second"
    }
    reasoning, total = found["reasoning"], found["total"]
    assert reasoning is not None
    assert reasoning.is_paired
    assert reasoning.value == pytest.approx(1 / 8)
    assert total is not None
    assert total.value == pytest.approx(1 / 16)
    boolq, piqa, code = (11 / 216, 3), (1 / 16, 1), (1 / 36, 3)
    for difference, share, tasks in (
        (reasoning, 2, (boolq, piqa)),
        (total, 4, (boolq, piqa, code, code)),
    ):
        variance = sum(v for v, _ in tasks)
        half = stats.t.ppf(0.975, variance**2 / sum(v**2 / f for v, f in tasks)) * variance**0.5
        assert difference.interval.high == pytest.approx((1 / 6 + half) / share)
        assert difference.interval.low == pytest.approx((1 / 6 - half) / share)


def test_variants_of_other_identities_are_not_compared(tmp_path: Path) -> None:
    spec = replace(study(tmp_path), evaluators={n: {"spec": n} for n in IDENTITIES})
    record(tmp_path, "first", ALL)
    record(tmp_path, "second", ALL, grader="2")
    averages = average(collect(spec))
    comparison = compare_to_baseline(averages.results, read=averages.read)
    (cell,) = [
        cell
        for (row, variant), cell in comparison.cells.items()
        if (row.evaluator, variant) == ("code", "second")
    ]
    assert cell.difference is None
    assert cell.not_compared == "differs from first in human_eval and mbpp"


def test_excluded_scores_are_left_out_and_shown_beside(tmp_path: Path) -> None:
    record(tmp_path, "first", ALL)
    config = replace(CONFIG, excluded=("suite/piqa/accuracy",))
    found = values(study(tmp_path, config))
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {
            "reasoning": 3 / 4,
            "code": 3 / 8,
            "total": 9 / 16,
            "unfiltered/reasoning": 5 / 8,
            "unfiltered/total": 1 / 2,
        }
    )
    assert [name for name, metric in found.items() if metric.is_primary] == [
        *CONFIG.categories,
        "total",
    ]


def test_nothing_is_averaged_without_a_task_and_the_reason_is_named(tmp_path: Path) -> None:
    record(tmp_path, "first", {"suite": SUITE, "human_eval": HUMAN_EVAL})
    assert list(values(study(tmp_path))) == ["reasoning"]
    reason = ("mbpp has no result",)
    assert missing(study(tmp_path)) == {"code": reason, "total": reason}


def test_a_task_of_another_step_does_not_stand_in(tmp_path: Path) -> None:
    record(tmp_path, "first", {"mbpp": MBPP}, step=10)
    record(tmp_path, "first", {"suite": SUITE, "human_eval": HUMAN_EVAL})
    assert missing(study(tmp_path))["code"] == ("mbpp has no result",)
    assert missing(study(tmp_path), step=10) == {
        "reasoning": ("suite has no result",),
        "code": ("human_eval has no result",),
        "total": ("suite has no result", "human_eval has no result"),
    }


def test_a_failed_evaluation_and_a_missing_metric_are_reasons(tmp_path: Path) -> None:
    record(tmp_path, "first", {"suite": {"boolq/accuracy": (1, 0)}, "human_eval": HUMAN_EVAL})
    identity = IDENTITIES["mbpp"]
    with writer_of(tmp_path / "first", 20) as writer:
        writer.log_failure(
            step=20,
            tokens=20,
            evaluator="mbpp",
            failure="out of disk",
            identity=identity,
            digest=identity_digest(identity),
        )
    found = missing(study(tmp_path))
    assert found["reasoning"] == ("the result of suite has no piqa/accuracy",)
    assert found["code"] == ("mbpp failed: out of disk",)


def test_a_result_of_another_identity_does_not_count(tmp_path: Path) -> None:
    """One of an older grader is shown in the report, but not averaged with those of today."""
    record(tmp_path, "first", {"suite": SUITE, "human_eval": HUMAN_EVAL})
    record(tmp_path, "first", {"mbpp": MBPP}, grader="0")
    reason = "the result of mbpp differs from this study’s evaluation in grader"
    assert missing(study(tmp_path))["code"] == (reason,)
    record(tmp_path, "first", {"mbpp": MBPP})
    assert missing(study(tmp_path)) == {}
    record(tmp_path, "second", {"mbpp": MBPP}, items="others")
    assert missing(study(tmp_path), "second")["code"][1].endswith("evaluation in items")


def test_scores_of_different_units_are_not_averaged(tmp_path: Path) -> None:
    record(tmp_path, "first", ALL)
    path = tmp_path / "first" / "evals.jsonl"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].replace('"fraction"', '"value"')
    path.write_text("\n".join(lines) + "\n")
    assert missing(study(tmp_path))["code"] == (
        "its scores are in different units: fraction, value",
    )


def test_a_phase_that_has_not_ended_has_no_average_at_its_end(tmp_path: Path) -> None:
    record(tmp_path, "first", ALL, step=10)
    assert values(study(tmp_path), step=10)["total"].value == 0.5
    assert missing(study(tmp_path))["total"] == ("the phase is incomplete",)
    assert missing(study(tmp_path), "second")["total"] == ("the phase is missing",)


def test_an_unpaired_difference_has_the_fewest_degrees_of_freedom_of_the_two_averages(
    tmp_path: Path,
) -> None:
    """PIQA has two items and most of the variance, so the degrees of freedom are about 1."""
    config = AveragesConfig(
        categories={"reasoning": ("suite/boolq/accuracy", "suite/piqa/accuracy")}
    )
    worse = {"boolq/accuracy": (0, 0, 0, 1), "piqa/accuracy": (0, 1)}
    record(tmp_path, "first", {"suite": SUITE})
    record(tmp_path, "second", {"suite": worse})
    shutil.rmtree(tmp_path / "first/items")
    found = compare_to_baseline(average(collect(study(tmp_path, config))).results)
    baseline, ours = (found.cells[found.rows[0], run] for run in ("first", "second"))
    metrics = ours.metric, baseline.metric
    freedom = min(m.freedom for m in metrics)
    assert freedom < 2 < min(m.count for m in metrics) - 1
    error = math.hypot(*(m.standard_error for m in metrics))
    assert ours.difference is not None
    assert not ours.difference.is_paired
    low = -1 / 4 - stats.t.ppf(0.975, freedom) * error
    assert ours.difference.interval.low == pytest.approx(low)
    assert ours.difference.num_items == 6
