import csv
import io
from pathlib import Path

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.report.collect import collect
from codepretrain.report.item_csv import COLUMNS, evaluators, item_csv
from codepretrain.report.write import write_report
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


def test_a_damaged_file_of_scores_is_an_error(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    (path,) = (Path(study.phases["coded"].run_dir) / "items").glob(f"{QUIZ}-*.npz")
    path.write_bytes(b"-")
    with pytest.raises(UserError, match=path.name):
        item_csv(collect(study), QUIZ)
