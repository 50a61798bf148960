"""Hosts that keep the others waiting, by hand-made times."""

import json
import sys
from pathlib import Path

import pytest

from codepretrain.train.stragglers import Stragglers, description
from tests.conftest import TINY
from tests.fixtures.pod import Pod


def noted(times: list[dict], step_s: float = 0.1) -> list[dict]:
    stragglers = Stragglers()
    return [stragglers.note(one, step_s=step_s) for one in times]


def test_one_that_is_slow_three_times_in_a_row_is_named_as_long_as_it_is() -> None:
    slow = {"work": [0.010, 0.030, 0.011, 0.010], "data": [0.0, 0.0, 0.0, 0.0]}
    fine = {"work": [0.010, 0.012, 0.011, 0.010], "data": [0.0, 0.0, 0.0, 0.0]}
    found = noted([slow, slow, fine, slow, slow, slow, slow, fine])
    assert found == [{}, {}, {}, {}, {}, {"work": [1]}, {"work": [1]}, {}]


def test_of_two_the_slower_one_and_one_that_waits_for_data() -> None:
    times = {"work": [0.01, 0.03], "data": [0.05, 0.0]}
    assert noted([times] * 3)[-1] == {"data": [0], "work": [1]}
    assert description({"data": [0], "work": [1]}, times) == (
        "waiting for data: process 0 50.0 ms a step, the median is 0.0 ms; "
        "work on the host: process 1 30.0 ms a step, the median is 10.0 ms"
    )


@pytest.mark.parametrize(
    "work",
    [
        [0.001, 0.003],  # three times the other one, and 2% of a step
        [0.100, 0.140],  # within 1.5 times
        [0.0, 0.0],
    ],
)
def test_what_does_not_matter(work: list[float]) -> None:
    assert noted([{"work": work, "data": [0.0, 0.0]}] * 5)[-1] == {}


@pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")
def test_a_slow_host_of_two_is_named_in_the_log_and_in_the_metrics(
    tmp_path: Path, workdir: Path, tiny_overrides: list[str]
) -> None:
    with Pod(tmp_path / "pod", num_processes=2, stage="slow-1") as pod:
        pod.start(
            "train", "--phase", "trunk", "--config", TINY, "--workdir", workdir, *tiny_overrides
        )
        assert pod.codes() == [0, 0], pod.output(0)
        lines = [line for line in pod.output(0).splitlines() if "slow hosts: " in line]
    assert lines
    assert ": slow hosts: work on the host: process 1 " in lines[0]
    [run] = (workdir / "runs").glob("trunk-*")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    slow = [record["step"] for record in records if record.get("stragglers") == {"work": [1]}]
    assert set(slow) >= {25, 30, 35, 40}
    assert not [record for record in records if record["step"] < 20 and "stragglers" in record]
