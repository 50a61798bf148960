import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.config.schema import ContrastConfig
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline, decided_rows
from codepretrain.report.terminal import print_comparison, rows_with_losses


def printed(results, comparison, *, width, **options):
    file = io.StringIO()
    print_comparison(Console(file=file, width=width, **options), results, comparison)
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 180])
def test_it_fits_the_width_and_a_hundred_columns(results, comparison, width):
    lines = printed(results, comparison, width=width).splitlines()
    assert max(map(len, lines)) <= min(width, 100)


def test_without_a_terminal_it_is_plain_text_with_every_number(results, comparison):
    text = printed(results, comparison, width=100)
    assert "\x1b" not in text
    marks = "✓ in the metric’s direction, ✗ against it, ≈ not distinguishable: of two checkpoints."
    assert marks in " ".join(text.split())
    assert text.count("baseline") == 1  # in the header of its column
    assert "every comparison is between two checkpoints" in " ".join(text.split())
    line = next(line for line in text.splitlines() if line.startswith("code  "))
    assert line.split()[1] == "3.233"


def test_on_a_terminal_it_has_colors(results, comparison):
    text = printed(results, comparison, width=100, force_terminal=True, color_system="standard")
    assert "\x1b[" in text


def test_five_variants_stand_side_by_side_in_a_hundred_columns(results, comparison):
    assert printed(results, comparison, width=100).count("cooldown_with_") == 1
    assert printed(results, comparison, width=80).count("text_only\n") == 0


def test_what_is_not_complete_is_named(unfinished_study):
    results = collect(unfinished_study)
    text = printed(results, compare_to_baseline(results), width=100)
    assert "cooldown_text: step 35 of 60" in text
    assert "cooldown_with_code: missing" in text
    assert "not measured" in text


def test_damaged_files_are_named(copied_study):
    run = Path(copied_study.phases["code_continue"].run_dir)
    (run / "evals.jsonl").write_text("{}\n")
    (run / "items" / "validation_loss-00000200.npz").write_bytes(b"-")
    results = collect(copied_study)
    text = " ".join(printed(results, compare_to_baseline(results), width=100).split())
    assert "problem: " in text
    assert "evals.jsonl" in text


PER_BYTE = "prose_continuation/accuracy_per_byte"


def test_the_table_has_the_metrics_that_contrasts_are_decided_on(results, comparison):
    names = [f"{row.evaluator}/{row.name}" for row in decided_rows(results, comparison)]
    assert PER_BYTE not in names
    assert "prose_continuation/accuracy" in names
    contrast = ContrastConfig(metric=PER_BYTE, direction="higher", variants=("x", "text_only"))
    spec = replace(results.spec, contrasts={"bits": contrast})
    registered = replace(results, spec=spec)
    names = [f"{row.evaluator}/{row.name}" for row in decided_rows(registered, comparison)]
    assert names.count(PER_BYTE) == 1
    assert "code_continuation/accuracy_per_byte" not in names
    assert "prose continuation: accuracy per" in " ".join(
        printed(registered, comparison, width=100).split()
    )


def test_of_any_two_checkpoints_the_loss_of_each_task_is_beside_its_accuracy(comparison):
    [accuracy] = [row for row in comparison.headline_rows if row.evaluator == "prose_continuation"]
    bits = replace(
        accuracy, name="bits_per_answer", unit="bits", direction="lower", is_primary=False
    )
    shown = rows_with_losses(replace(comparison, rows=(*comparison.rows, bits)))
    assert shown == (*comparison.headline_rows, bits)
