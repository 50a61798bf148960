import io
from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.terminal import print_comparison


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
