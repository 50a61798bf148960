"""Work is shared out, and every process gets all results in order."""

import pytest

from codepretrain.errors import UserError
from codepretrain.evals import spread
from codepretrain.evals.progress import no_progress
from codepretrain.evals.sandbox.run import Isolation
from tests.fixtures.processes import RunJob

SQUARES = """
from codepretrain.errors import UserError
from codepretrain.evals.spread import spread
from codepretrain.evals.progress import no_progress

own, kept = [], []

def compute(part):
    own.extend(part)
    return [x * x for x in part]

def run(compute):
    return spread(range(7), compute, what="squares", per_process=2, wait_s=60.0,
                  progress=no_progress, keep=lambda part, found: kept.extend(zip(part, found)))

print(run(compute), own, kept)

def fail(part):
    if process:
        raise UserError("no squares on this host")
    return compute(part)

try:
    run(fail)
except UserError as error:
    print(error)
"""


def test_two_processes_share_the_work(run_job: RunJob) -> None:
    first, second = (ended.stdout.splitlines()[-2:] for ended in run_job(SQUARES))
    pairs = [(x, x * x) for x in range(7)]
    assert first[0] == f"{[x * x for x in range(7)]} [0, 2, 4, 6] {pairs}"
    assert second[0] == f"{[x * x for x in range(7)]} [1, 3, 5] []"
    assert first[1] == second[1] == "no squares on this host"


def test_one_process_does_it_all() -> None:
    seen = []
    found = spread.spread(
        "abc",
        lambda part: [len(part)] * len(part),
        what="letters",
        per_process=2,
        wait_s=1.0,
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert found == [2, 2, 1]
    assert seen == [(2, 3, "letters"), (3, 3, "letters")]
    nothing = spread.spread(
        "", lambda part: [], what="x", per_process=2, wait_s=1.0, progress=no_progress
    )
    assert nothing == []


def test_a_host_without_a_working_sandbox_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("the sandbox does not run a harmless program")

    monkeypatch.setattr(spread, "sandbox_isolation", broken)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-3")
    with pytest.raises(UserError, match="host worker-3: the sandbox does not run"):
        spread.agree_on_sandbox(1 << 20)


def test_a_host_without_a_required_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = Isolation(("limits",), {"seccomp": "not here"})
    monkeypatch.setattr("codepretrain.evals.sandbox.run.sandbox_isolation", lambda: weak)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-3")
    spread.require_on_this_host(("limits",), option="x")
    with pytest.raises(UserError, match=r"^host worker-3: .*seccomp \(not here"):
        spread.require_on_this_host(("limits", "seccomp"), option="x")


HOSTS = """
from codepretrain.errors import UserError
from codepretrain.evals import spread

facts = {"host": f"host{process}", "python": "3.11.7", "layers": ["limits", "seccomp"],
         "num_parallel": 4 - 2 * process}
spread._facts = lambda bytes_each: facts
agreed = spread.agree_on_sandbox(1)
print(agreed.layers, agreed.num_workers, agreed.per_process)
facts = {**facts, "layers": ["limits"], "host": "one", "num_parallel": 5}
agreed = spread.agree_on_sandbox(1)
print(agreed.layers, agreed.num_workers, agreed.per_process)
facts = {**facts, "host": f"host{process}", "python": f"3.1{process}"}
try:
    spread.agree_on_sandbox(1)
except UserError as error:
    print(error)
"""


def test_hosts_run_programs_in_the_same_sandbox(run_job: RunJob) -> None:
    first, second = (ended.stdout.splitlines()[-3:] for ended in run_job(HOSTS))
    # Layers that all grant; rounds as large as the fastest host's; processes of a host share it.
    assert first == [
        "('limits', 'seccomp') 4 64",
        "('limits',) 2 32",
        "generated programs run on all hosts, which need the same Python: found 3.10 on host0, "
        "3.11 on host1",
    ]
    assert second[0] == "('limits', 'seccomp') 2 64"
