from pathlib import Path

import jax
import numpy as np
import pytest

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.phase_params import check_step, load_params
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program


def test_the_parameters_are_those_that_were_trained(trained: Path, config: StudyConfig) -> None:
    workspace, program = Workspace(config, trained), Program(config)
    wanted = program.abstract_state
    checkpoints = Checkpoints(
        workspace.run_dir("trunk") / "checkpoints", workspace.checkpoint_policy("trunk")
    )
    for step in (20, 40):
        check_step(workspace, "trunk", step, command="")
        params = load_params(workspace, "trunk", step, wanted.params)
        state = checkpoints.restore(wanted, step=step).state
        jax.tree.map(np.testing.assert_array_equal, params, state.params)
        shardings = jax.tree.map(lambda x: x.sharding, params)
        assert shardings == jax.tree.map(lambda x: x.sharding, wanted.params)


def test_a_step_that_is_not_there(trained: Path, config: StudyConfig) -> None:
    workspace = Workspace(config, trained)
    with pytest.raises(UserError, match=r"no complete checkpoint at step 7; available steps: 20, "):
        check_step(workspace, "trunk", 7, command="")
    with pytest.raises(UserError, match="'cooldown' is not trained yet: run codepretrain train"):
        check_step(workspace, "cooldown", 10, command="codepretrain serve")


def test_a_damaged_checkpoint(trained_copy: Path, config: StudyConfig) -> None:
    workspace = Workspace(config, trained_copy)
    folder = workspace.run_dir("trunk") / "checkpoints" / "40" / "state"
    largest = max(Path(folder).rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged checkpoint .*choose another --step"):
        load_params(workspace, "trunk", 40, Program(config).abstract_state.params)
