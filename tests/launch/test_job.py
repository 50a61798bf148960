"""Hosts and slices of a job."""

from dataclasses import replace

from tests.launch.random_faults import job, phase, single


def test_hosts_are_numbered_over_all_slices() -> None:
    plan = job(phase("a"), slices=3, hosts=2)
    assert list(plan.hosts) == [0, 1, 2, 3, 4, 5]
    assert list(plan.hosts_of(1)) == [2, 3]
    assert plan.slices_of((1, 4, 5)) == {0, 2}


def test_children() -> None:
    plan = job(phase("a"), phase("b", "train.a"), single("report", "train.a", "train.b"))
    assert plan.children == {
        "train.a": ("train.b", "report"),
        "train.b": ("report",),
        "report": (),
    }
    assert replace(plan, name="k").by_name["train.b"] == plan.stages[1]
