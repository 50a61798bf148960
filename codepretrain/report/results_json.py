"""`results.json`: every number of the report in machine-readable form."""

import dataclasses
from typing import Any

from codepretrain.files.json_values import plain
from codepretrain.metrics.goodput import goodput
from codepretrain.report.accounts import num_skipped, time_seconds, tokens_per_s
from codepretrain.report.averaged import Averaged
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.content import Content
from codepretrain.report.curves import loss_curves, training_curve
from codepretrain.report.noise_rows import metric_noise
from codepretrain.report.published import Published
from codepretrain.report.wording import sign_text
from codepretrain.rows.manifest import RowsManifest

FORMAT = 3  # increase it when a field is renamed, removed, or changes its meaning
_POINTS = 1_000  # of a training curve


def results_json(content: Content) -> dict[str, Any]:
    """Returns the report's numbers as JSON's own types; see `files/json_values.py` for NaN."""
    results, comparison, judged = content.results, content.comparison, content.judged
    return plain(
        {
            "format": FORMAT,
            "written_at": content.written_at,
            "study": results.spec.to_json(),
            "contrasts": [one.to_json() for one in content.contrasts],
            "controls": [one.name for one in content.contrasts if one.config.is_control],
            "comparison": comparison_json(comparison),
            "pairs": [comparison_json(pair) for pair in content.pairs],
            "averages": _averages(content.averages),
            **content.sections.to_json(),
            "noise": metric_noise(results, comparison),
            "published": _published(content.published),
            "win_rates": judged.to_json(),
            "judge_agreement": [dataclasses.asdict(pair) for pair in judged.agreements],
            "phases": {name: _run(run) for name, run in results.runs.items()},
            "manifests": {
                source: {split: _manifest(m) for split, m in splits.items()}
                for source, splits in results.manifests.items()
            },
            "curves": {variant: _curves(results, variant) for variant in results.spec.variants},
            "problems": list(
                dict.fromkeys([*results.problems, *comparison.problems, *judged.problems])
            ),
        }
    )


def _manifest(manifest: RowsManifest) -> dict[str, Any]:
    """Returns counts and hashes; of the parts, only their number."""
    value = manifest.to_json()
    return {**value, "parts": len(value["parts"]), "hash": manifest.hash}


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Returns the cells of a comparison, each with what its difference is between."""
    return {
        "baseline": comparison.baseline,
        "variants": comparison.variants,
        "cells": [
            {
                "variant": variant,
                **dataclasses.asdict(row),
                **dataclasses.asdict(cell),
                "verdict": sign_text(row, cell.difference) if cell.difference else None,
                "between": cell.difference.between.text if cell.difference else None,
                "survives_holm": cell.survives_holm if cell.difference else None,
            }
            for (row, variant), cell in comparison.cells.items()
        ],
    }


def _published(published: Published | None) -> dict[str, Any] | None:
    if published is None:
        return None
    averages = [row.evaluator for row in published.rows]
    return {
        "paper": published.paper,
        "place": published.place,
        "percent": {
            phase: dict(zip(averages, cells, strict=True))
            for phase, cells in published.cells.items()
        },
        "effects": published.effects,
        "contradictions": published.contradictions,
    }


def _averages(averages: Averaged | None) -> dict[str, Any] | None:
    if averages is None:
        return None
    return {
        **averages.to_json(),
        "comparison": comparison_json(averages.comparison),
        "pairs": [comparison_json(pair) for pair in averages.pairs],
    }


def _run(run: RunResults) -> dict[str, Any]:
    return {
        "status": run.status,
        "last_step": run.last_step,
        "num_skipped": num_skipped(run),
        "tokens_per_s": tokens_per_s(run),
        "seconds": time_seconds(run),
        "goodput": goodput(run.sessions).goodput,
        "sessions": run.sessions,
        "starts": run.starts,
        "ledger": run.ledger.to_json() if run.ledger else None,
        "evaluations": [dataclasses.asdict(evaluation) for evaluation in run.evaluations],
        "problems": run.problems,
    }


def _curves(results: StudyResults, variant: str) -> dict[str, Any]:
    """Returns points [tokens, value] over the variant's path; metrics.jsonl has all of them."""
    training = {
        name: training_curve(results, variant, name).thinned(_POINTS)
        for name in ("loss", "learning_rate")
    }
    curves = {
        **{f"training/{name}": curve for name, curve in training.items()},
        **{f"held_out/{source}": c for source, c in loss_curves(results, variant).items()},
    }
    return {name: list(zip(c.tokens, c.values, strict=True)) for name, c in curves.items()}
