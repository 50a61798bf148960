"""How far a phase has come, by its files."""

import dataclasses
import shutil

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.study.progress import progress
from codepretrain.study.workspace import Workspace


def test_trained_to_evaluate_to_train(trained_copy, config: StudyConfig) -> None:
    workspace = Workspace(config, trained_copy)
    assert [progress(workspace, name) for name in workspace.phases] == [
        "trained",
        "trained",
        "to train",
    ]
    added = {**config.evals, "later": EvaluatorConfig(kind="validation_loss")}
    workspace = Workspace(dataclasses.replace(config, evals=added), trained_copy)
    assert progress(workspace, "trunk") == "to evaluate"
    shutil.rmtree(workspace.run_dir("trunk") / "checkpoints" / "40")
    assert progress(workspace, "trunk") == "to train"
