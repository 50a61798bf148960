"""Metrics of generated code, from the grades of all samples.

All are means over problems, with standard errors over problems: the samples of one problem are not
independent.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.evals.estimate import Estimate, ratio_of_sums
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.evals.programs.grade import REASONS, Grade
from codepretrain.evals.programs.pass_at_k import pass_at_k
from codepretrain.evals.programs.problem import POLICIES, Problem

PASS_AT_1 = MetricSpec(
    name="pass_at_1", unit="fraction", direction="higher", cluster="problem", is_primary=True
)
PASS_AT_K = MetricSpec(name="pass_at_*", unit="fraction", direction="higher", cluster="problem")
# Of the reference, after the prompt: tells small models apart that pass no problem.
BITS_PER_BYTE = MetricSpec(
    name="bits_per_byte", unit="bits/byte", direction="lower", cluster="problem"
)
# The share of samples that are Python, and of those whose tests got values from them.
VALID_SYNTAX = MetricSpec(
    name="valid_syntax", unit="fraction", direction="higher", cluster="problem"
)
RUNS = MetricSpec(name="runs", unit="fraction", direction="higher", cluster="problem")
REASON = MetricSpec(name="reason/*", unit="fraction", direction=None, cluster="problem")
# pass@1 of the trivial policies, and of the reference: below 1, some problem cannot be solved here.
BASELINE = MetricSpec(name="baseline/*", unit="fraction", direction=None, cluster="problem")
SPECS = (PASS_AT_1, PASS_AT_K, BITS_PER_BYTE, VALID_SYNTAX, RUNS, REASON, BASELINE)


@dataclass(frozen=True)
class Sample:
    """One completion of a problem and its grade."""

    text: str
    grade: Grade


def result(
    problems: Sequence[Problem],
    samples: Sequence[Sequence[Sample]],
    *,
    nats: np.ndarray,
    baselines: Mapping[str, Sequence[Grade]],
    ks: Sequence[int],
) -> EvalResult:
    """Returns the metrics of N problems.

    Args:
      samples: of each problem, equally many.
      nats: [N], -log p of each reference.
      baselines: for each of `baselines.NAMES`, the grade of each problem.
      ks: of pass@k; pass@1 is always there.
    """
    null_value = max(_share(baselines[name]) for name in POLICIES)
    shares = {
        f"pass_at_{k}": np.array([_pass_at_k(some, k) for some in samples])
        for k in sorted({1, *ks})
    }
    shares |= {
        VALID_SYNTAX.name: _mean(samples, lambda grade: grade.reason != "invalid"),
        RUNS.name: _mean(samples, lambda grade: grade.runs),
    }
    metrics = {name: _metric(name, values, null_value) for name, values in shares.items()}
    bits = nats / math.log(2)
    num_bytes = np.array([len(problem.reference.encode()) for problem in problems], np.float64)
    metrics[BITS_PER_BYTE.name] = BITS_PER_BYTE.metric(ratio_of_sums(bits, num_bytes))
    for reason in REASONS:
        values = _mean(samples, functools.partial(_ended_by, reason))
        metrics[f"reason/{reason}"] = REASON.metric(_mean_estimate(values))
    for name, grades in baselines.items():
        values = np.array([grade.passed for grade in grades], np.float64)
        metrics[f"baseline/{name}"] = BASELINE.metric(_mean_estimate(values))
    scores = shares | {BITS_PER_BYTE.name: bits, f"{BITS_PER_BYTE.name}/weight": num_bytes}
    ids = [problem.id for problem in problems]
    records = [_record(problem, some) for problem, some in zip(problems, samples, strict=True)]
    return EvalResult(metrics, ItemScores(ids, scores, records, ids))


def _metric(name: str, values: np.ndarray, null_value: float) -> Metric:
    spec = {s.name: s for s in (PASS_AT_1, VALID_SYNTAX, RUNS)}.get(name, PASS_AT_K)
    is_pass = spec in (PASS_AT_1, PASS_AT_K)
    return spec.metric(_mean_estimate(values), null_value=null_value if is_pass else None)


def _mean_estimate(values: np.ndarray) -> Estimate:
    return ratio_of_sums(values, np.ones_like(values))


def _mean(samples: Sequence[Sequence[Sample]], holds: Callable[[Grade], bool]) -> np.ndarray:
    """Returns the share of each problem's samples for which `holds`: [N] float64."""
    return np.array([np.mean([holds(sample.grade) for sample in some]) for some in samples])


def _ended_by(reason: str, grade: Grade) -> bool:
    return grade.reason == reason


def _pass_at_k(samples: Sequence[Sample], k: int) -> float:
    return pass_at_k(len(samples), sum(sample.grade.passed for sample in samples), k)


def _share(grades: Sequence[Grade]) -> float:
    return sum(grade.passed for grade in grades) / len(grades)


def _record(problem: Problem, samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "id": problem.id,
        "samples": [{"completion": s.text, **s.grade.to_json()} for s in samples],
    }
