"""Item scores are read once for a whole report, whatever shows them."""

import collections
from dataclasses import replace

import numpy as np
import pytest

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.report import evaluations, score_reader
from codepretrain.report.collect import ReportInput, collect
from codepretrain.report.evaluations import read_scores
from codepretrain.report.paired import PairedScores
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.write import write_report
from codepretrain.report.write_together import write_together
from tests.report.replicated import LOSS, LOSS_METRIC, QUIZ, replicated_study


@pytest.fixture
def study(tmp_path) -> ReportInput:
    spec = replicated_study(
        tmp_path, {"base": (3.0, 3.1), "one": (2.5, 2.6), "two": (2.4, 2.3)}, num_items=40
    )
    loss = f"{LOSS}/{LOSS_METRIC}"
    return replace(
        spec,
        averages=AveragesConfig(categories={"tasks": (f"{QUIZ}/accuracy",), "losses": (loss,)}),
        contrasts={
            name: ContrastConfig(metric=name, direction="different", variants=("one", "base"))
            for name in (loss, "tasks", f"{QUIZ}/accuracy")
        },
    )


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> collections.Counter:
    """How often each file of item scores is read."""
    counts: collections.Counter = collections.Counter()
    original = evaluations.read_item_scores

    def counted(*key, marks):
        counts[key] += 1
        return original(*key, marks=marks)

    monkeypatch.setattr(evaluations, "read_item_scores", counted)
    return counts


def test_a_report_reads_every_file_once(study, tmp_path, num_read) -> None:
    write_report(study, tmp_path / "report", has_items=True)
    assert len(num_read) == 12  # two evaluations of six runs
    assert set(num_read.values()) == {1}


def test_a_report_of_two_studies_reads_shared_runs_once(study, tmp_path, num_read) -> None:
    write_together([study, replace(study, study="again")], tmp_path / "report")
    assert len(num_read) == 12
    assert set(num_read.values()) == {1}


def test_what_does_not_fit_is_read_again(study) -> None:
    results = collect(study)
    ends = [end for run in results.runs.values() if (end := run.at_end(QUIZ)) is not None]
    reader = ScoreReader(max_scores=2 * 40)
    first = reader.of(ends[0])
    assert reader.of(ends[0]) is first
    reader.of(ends[1])
    assert reader.of(ends[0]) is first
    reader.of(ends[2])  # ends[1] was not asked for as recently
    assert reader.of(ends[0]) is first
    reader.of(ends[1])
    reader.of(ends[2])
    again = reader.of(ends[0])
    assert again is not first
    np.testing.assert_array_equal(again["accuracy"].values, first["accuracy"].values)
    assert dict(ScoreReader(max_scores=0).of(ends[0])).keys() == read_scores(ends[0]).keys()


def test_a_damaged_file_is_an_error_each_time_and_read_once(
    study, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def damaged(evaluation) -> dict[str, PairedScores]:
        calls.append(evaluation)
        raise ValueError("it is damaged")

    monkeypatch.setattr(score_reader, "read_scores", damaged)
    (run, *_) = collect(study).runs.values()
    end = run.at_end(QUIZ)
    assert end is not None
    reader = ScoreReader()
    for _ in range(2):
        with pytest.raises(ValueError, match="it is damaged"):
            reader.of(end)
    assert len(calls) == 1
