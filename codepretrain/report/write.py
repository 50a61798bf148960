"""Writes a study's report: `index.html`, and beside it `results.json`."""

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from codepretrain.files import jsonl
from codepretrain.report.collect import ReportInput, collect
from codepretrain.report.compare import compare_pairs, compare_to_baseline
from codepretrain.report.page import render
from codepretrain.report.results_json import record
from codepretrain.report.terminal import print_comparison


def write_report(spec: ReportInput, out_dir: Path, *, console: Console | None = None) -> Path:
    """Writes the page and returns its path; prints the table too, if `console` is given.

    Phases that are missing or under way are shown as such. Both files are replaced whole.
    """
    results = collect(spec)
    comparison = compare_to_baseline(results)
    pairs = compare_pairs(results)
    written_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    out_dir.mkdir(parents=True, exist_ok=True)
    numbers = record(results, comparison, pairs=pairs, written_at=written_at)
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    jsonl.write_atomically(out_dir / "results.json", text + "\n")
    page = out_dir / "index.html"
    jsonl.write_atomically(page, render(results, comparison, pairs=pairs, written_at=written_at))
    if console is not None:
        print_comparison(console, results, comparison)
    return page
