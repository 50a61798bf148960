"""Training and evaluating by two processes, of which one sees other files than process 0."""

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.study.workspace import Workspace
from tests.conftest import TINY
from tests.fixtures.processes import Ended, RunJob

TIMEOUT_S = 300  # a hang is a failure; a busy machine is not
SETUP = """
    import os
    from pathlib import Path
    from codepretrain.config.load import load_study
    from codepretrain.errors import UserError
    from codepretrain.study.run import evaluate_phases, train_phases
    from codepretrain.study.workspace import Workspace

    workdir, config = Path(arguments[0]), load_study(Path(arguments[1]), arguments[2:])

    class Entries:
        def __init__(self, entries):
            self.entries = iter(entries)
        def __iter__(self):
            return self.entries
        def __next__(self):
            return next(self.entries)
        def __enter__(self):
            return self
        def __exit__(self, *_):
            pass
        close = __exit__

    def hide(*hidden):
        # Process 1 lists every folder without these names, as a stale listing does.
        if process == 0:
            return
        listdir, scandir = os.listdir, os.scandir
        is_seen = lambda name: name not in hidden and not name.startswith("trunk-")
        os.listdir = lambda *a: [name for name in listdir(*a) if is_seen(name)]
        os.scandir = lambda *a: Entries(entry for entry in scandir(*a) if is_seen(entry.name))
"""


@pytest.fixture
def job(run_job: RunJob, tiny_overrides: list[str]):
    """Runs a script on the tiny study in a working directory; both processes must succeed."""

    def run(script: str, workdir: Path) -> list[Ended]:
        ended = run_job(
            SETUP + textwrap.indent(textwrap.dedent(script), "    "),
            workdir,
            TINY,
            *tiny_overrides,
            timeout_s=TIMEOUT_S,
        )
        for one in ended:
            assert one.returncode == 0, one.stderr
        return ended

    return run


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_evaluation_that_is_recorded_already(job, trained_copy, config: StudyConfig) -> None:
    run = Workspace(config, trained_copy).run_dir("trunk")
    before = (run / "evals.jsonl").read_bytes()
    job('evaluate_phases(Workspace(config, workdir), only=["trunk"])', trained_copy)
    assert (run / "evals.jsonl").read_bytes() == before


def test_an_evaluation_where_one_process_does_not_see_the_checkpoint(
    job, trained_copy, config: StudyConfig
) -> None:
    run = Workspace(config, trained_copy).run_dir("trunk")
    before = lines(run / "evals.jsonl")
    (run / "evals.jsonl").write_text("")
    job('hide("40"); evaluate_phases(Workspace(config, workdir), only=["trunk"])', trained_copy)
    [evaluation] = lines(run / "evals.jsonl")
    assert (evaluation["step"], evaluation["evaluator"]) == (40, "validation")
    for name, metric in before[1]["metrics"].items():
        assert evaluation["metrics"][name]["value"] == pytest.approx(metric["value"], rel=1e-5)


def test_training_where_one_process_sees_neither_runs_nor_records(
    job, trained_copy, config: StudyConfig
) -> None:
    """The trunk is complete, the cooldown is not; process 1 would train the trunk anew."""
    script = """
    hide("20", "40", "ledger.json", "evals.jsonl")
    exists, is_file = Path.exists, Path.is_file
    if process == 1:
        Path.exists = lambda path: path.name != "ledger.json" and exists(path)
    train_phases(Workspace(config, workdir), only=["cooldown"], command_line="a test")
    """
    job(script, trained_copy)
    workspace = Workspace(config, trained_copy)
    assert len(lines(workspace.run_dir("cooldown") / "metrics.jsonl")) == 10
    assert sorted(p.name.split("-")[0] for p in (trained_copy / "runs").iterdir()) == [
        "branch",
        "cooldown",
        "trunk",
    ]


def test_two_hosts_with_two_working_directories(job, trained_copy, tmp_path) -> None:
    shutil.copytree(trained_copy, tmp_path / "other")
    script = """
    from codepretrain.study import opening

    opening._APPEARS_S = 1.0
    if process == 1:
        workdir = workdir.with_name("other")
    try:
        evaluate_phases(Workspace(config, workdir), only=["trunk"])
    except UserError as error:
        print(error)
    """
    for ended in job(script, trained_copy):
        assert ended.stdout.splitlines()[-1].startswith(
            f"process 1 does not see the files that process 0 writes in {tmp_path}/other: all hosts"
        )
    assert not list(trained_copy.glob(".shared-*"))
