"""Opening a study; test_runner.py has two processes that see different files."""

import dataclasses

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.study.opening import open_workspace
from codepretrain.study.workspace import Workspace
from tests.fixtures.processes import RunJob


def test_the_folders_of_the_runs_are_found_once(trained_copy, config: StudyConfig) -> None:
    found = Workspace(config, trained_copy).run_dir("trunk")
    workspace = open_workspace(Workspace(config, trained_copy))
    found.rename(found.with_name(found.name.replace("trunk", "renamed")))
    assert workspace.run_dir("trunk") == found
    assert (
        open_workspace(Workspace(config, trained_copy)).run_dir("trunk").name.startswith("renamed-")
    )
    assert not list(trained_copy.glob(".shared-*"))


def test_the_folders_of_the_runs_are_in_the_object_store(prepared, config, memory) -> None:
    for name in storage.sizes_below(prepared):
        write_bytes(memory / name, (prepared / name).read_bytes())
    workspace = open_workspace(Workspace(config, memory))
    for name in config.phases:
        assert workspace.run_dir(name).parent == memory / "runs"
        assert not storage.is_local(workspace.run_dir(name))


def test_what_cannot_be_trained_is_told(trained, config: StudyConfig) -> None:
    source = dataclasses.replace(config.data.sources["code"], max_epochs=0.01)
    data = dataclasses.replace(config.data, sources={**config.data.sources, "code": source})
    with pytest.raises(UserError, match=r"max_epochs = 0\.01 allows"):
        open_workspace(Workspace(dataclasses.replace(config, data=data), trained))


def test_processes_that_were_started_differently_are_refused(run_job: RunJob) -> None:
    """Evaluations are outside the fingerprints; processes that differ in them would deadlock."""
    script = """
    import dataclasses
    from codepretrain.config.schema import EvaluatorConfig
    from codepretrain.errors import UserError
    from codepretrain.study import opening
    from codepretrain.study.opening import check_same_start
    from tests.configs import small_study

    def outcome(config, **choices):
        try:
            return check_same_start(config, **choices)
        except UserError as error:
            return str(error)

    config = small_study()
    evals = {"loss": EvaluatorConfig(kind="validation_loss", num_examples=8 + process)}
    print(outcome(config, name="train", phases=["trunk"]))
    print(outcome(dataclasses.replace(config, evals=evals), name="train"))
    print(outcome(config, name="train", phases=[["a", "b"][process]]))
    disk = dataclasses.replace(config.checkpoint, local_folder=f"/disk-{process}")
    print(outcome(dataclasses.replace(config, checkpoint=disk), name="train"))
    disk = dataclasses.replace(disk, local_folder=["/disk", None][process])
    print(outcome(dataclasses.replace(config, checkpoint=disk), name="train"))
    opening.source_digest = lambda: ["0123", "4567"][process]
    print(outcome(config, name="train"))
    """
    told = [
        "None",
        "process 1 was started differently: config.evals.loss.num_examples: process 0 8, "
        "process 1 9; all hosts must share one --workdir, and run the same code with the same "
        "--config",
        "process 1 was started differently: command.phases: process 0 ['a'], process 1 ['b']; all "
        "hosts must share one --workdir, and run the same code with the same --config",
        "None",
        "process 1 was started differently: config.checkpoint.local_folder: process 0 True, "
        "process 1 False; all hosts must share one --workdir, and run the same code with the same "
        "--config",
        "process 1 was started differently: source_digest: process 0 '0123', process 1 '4567'; all "
        "hosts must share one --workdir, and run the same code with the same --config",
    ]
    for job in run_job(script):
        assert job.returncode == 0, job.stderr
        assert job.stdout.splitlines() == told
