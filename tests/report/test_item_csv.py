import csv
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.errors import UserError
from codepretrain.report.collect import collect
from codepretrain.report.item_csv import COLUMNS, evaluators, item_csv
from codepretrain.report.write import content_of, write_report
from codepretrain.report.write_together import write_together
from tests.report.replicated import LOSS, LOSS_METRIC, QUIZ, replicated_study

LEVELS = {"plain": (3.0, 3.1), "coded": (2.5, 2.6)}


def test_the_metric_of_every_run_follows_from_its_lines(tmp_path):
    results = collect(replicated_study(tmp_path, LEVELS))
    assert evaluators(results) == [LOSS, QUIZ]
    for evaluator, metric in ((LOSS, LOSS_METRIC), (QUIZ, "accuracy")):
        lines = list(csv.DictReader(io.StringIO(item_csv(results, evaluator))))
        assert tuple(lines[0]) == COLUMNS
        assert len(lines) == 4 * 80
        for name in ("plain", "plain-r1", "coded", "coded-r1"):
            of = [line for line in lines if line["run"] == name]
            values, weights = (
                np.array([float(line[column]) for line in of]) for column in ("value", "weight")
            )
            evaluation = results.runs[name].at_end(evaluator)
            assert evaluation is not None
            assert values.sum() / weights.sum() == evaluation.metrics[metric].value
            assert {line["replicate"] for line in of} == {"1" if name.endswith("r1") else "0"}


def test_they_are_written_only_when_asked_for(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    write_report(study, tmp_path / "without")
    assert not (tmp_path / "without" / "items").exists()
    write_report(study, tmp_path / "with", has_items=True)
    assert {path.name for path in (tmp_path / "with" / "items").iterdir()} == {
        f"{LOSS}.csv",
        f"{QUIZ}.csv",
    }


def damage(study, *names: str) -> list[str]:
    """Damages the quiz's item scores of runs, and returns the paths of these files."""
    paths = []
    for name in names:
        (path,) = (Path(study.phases[name].run_dir) / "items").glob(f"{QUIZ}-*.npz")
        path.write_bytes(b"-")
        paths.append(str(path))
    return paths


def test_damaged_files_of_scores_are_an_error(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    paths = damage(study, "plain-r1", "coded")
    with pytest.raises(UserError) as error:
        item_csv(collect(study), QUIZ)
    assert [path for path in paths if str(error.value).count(path) == 1] == paths


@pytest.mark.parametrize("several", [False, True])
def test_a_damaged_file_is_told_after_everything_else_is_written_and_printed(tmp_path, several):
    study = replicated_study(tmp_path, LEVELS)
    (path,) = damage(study, "coded-r1")
    console = Console(file=io.StringIO(), width=500)
    out = tmp_path / "report"
    specs = [study, replace(study, study="again")]
    write = partial(write_together, specs) if several else partial(write_report, study)
    with pytest.raises(UserError) as error:
        write(out, console=console, has_items=True)
    folder = out / "replicated" if several else out
    written = f"{folder}/items/{QUIZ}.csv is not written: coded-r1: the item scores of quiz"
    assert str(error.value).startswith(f"--items: {written}")
    assert path in str(error.value)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    page = out / "replicated+again" / "index.html" if several else out / "index.html"
    assert "1 of 1 differences between recipes from plain" in printed
    assert f"\nreport: {page}\nitem scores: {folder}/items/{LOSS}.csv\n" in printed
    assert page.is_file()
    assert [csv.name for csv in (folder / "items").iterdir()] == [f"{LOSS}.csv"]


@pytest.mark.parametrize("has_averages", [False, True])
def test_each_damaged_file_of_a_variant_is_named_once(tmp_path, has_averages):
    study = replicated_study(tmp_path, LEVELS)
    metric = f"{QUIZ}/accuracy"
    contrast = ContrastConfig(metric=metric, direction="different", variants=("coded", "plain"))
    study = replace(study, contrasts={"more": contrast})
    if has_averages:
        study = replace(study, averages=AveragesConfig(categories={"tasks": (metric,)}))
    paths = damage(study, "coded", "coded-r1")
    console = Console(file=io.StringIO(), width=500)
    page = write_report(study, tmp_path / "report", console=console)
    numbers = json.loads((page.parent / "results.json").read_text())
    assert [path for path in paths for told in numbers["problems"] if path in told] == paths
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    told = [line for line in lines if line.startswith(("coded:", "coded-r1:", "problem:"))]
    assert [path for path in paths for line in told if path in line] == paths
    content = content_of(collect(study))
    assert content.averages is None or not content.averages.problems
