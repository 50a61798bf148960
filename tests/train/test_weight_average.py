"""The average of checkpoints: float64, the same bits on every mesh and number of processes."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, MeshConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.params_digest import params_digest
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state
from codepretrain.train.weight_average import average_params
from tests.configs import bare_study
from tests.fixtures.processes import RunJob

WEIGHTS = (0.7, 0.2, 0.1)


def abstract(config: StudyConfig | None = None, **mesh: int):
    return abstract_state(config or bare_study(), make_mesh(MeshConfig(**mesh))).params


def leaf_values(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Values of very different sizes, so that the order and precision of sums show."""
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 6, shape)).astype(np.float32)


def saved(folder: Path) -> list[dict[tuple[int, ...], np.ndarray]]:
    """Saves three checkpoints; returns the values of each by the shape of the leaf."""
    checkpoints = Checkpoints(folder, CheckpointPolicy(CheckpointConfig(), frozenset({1, 2, 3})))
    found = []
    for step in (1, 2, 3):
        params = jax.tree.map(
            lambda leaf, step=step: jax.device_put(leaf_values(step, leaf.shape), leaf.sharding),
            abstract(),
        )
        checkpoints.save(step, {"params": params}, ledger={}, identity={})
        found.append({leaf.shape: np.asarray(leaf) for leaf in jax.tree.leaves(params)})
    checkpoints.close()
    return found


def members(folder: Path):
    checkpoints = Checkpoints(folder, CheckpointPolicy(CheckpointConfig()))
    opened = [checkpoints.whole(step)[0] for step in (1, 2, 3)]
    return [(one, weight) for one, weight in zip(opened, WEIGHTS, strict=True) if one is not None]


def test_sums_are_in_float64_in_order_on_every_mesh(tmp_path: Path) -> None:
    values = saved(tmp_path)
    meshes: list[dict[str, Any]] = [
        {"data": 8, "fsdp": 1},
        {"fsdp": 8},
        {"fsdp": 4, "tensor": 2},
        {"data": 2, "fsdp": 4},
    ]
    for mesh in meshes:
        wanted = abstract(**mesh)
        params = average_params(wanted, members(tmp_path))
        for found, leaf in zip(jax.tree.leaves(params), jax.tree.leaves(wanted), strict=True):
            total = np.zeros(leaf.shape)
            for of_member, weight in zip(values, WEIGHTS, strict=True):
                total = total + weight * of_member[leaf.shape].astype(np.float64)
            assert found.sharding == leaf.sharding
            assert found.dtype == np.float32
            np.testing.assert_array_equal(np.asarray(found), total.astype(np.float32))


def test_float32_would_give_other_bits(tmp_path: Path) -> None:
    values = saved(tmp_path)
    params = average_params(abstract(), members(tmp_path))
    differing = 0
    for found in jax.tree.leaves(params):
        total = np.zeros(found.shape, np.float32)
        for of_member, weight in zip(values, WEIGHTS, strict=True):
            total = total + np.float32(weight) * of_member[found.shape]
        differing += int(np.sum(np.asarray(found) != total))
    assert differing > 100


def test_another_model_is_refused_before_an_array_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    config = bare_study()
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, d_ff=64))
    monkeypatch.setattr("codepretrain.checkpoint.whole.read_arrays", None)
    with pytest.raises(UserError, match="is of another model"):
        average_params(abstract(wider), members(tmp_path))


SCRIPT = """
from pathlib import Path
from typing import Any
from codepretrain.evals.params_digest import params_digest
from codepretrain.train.weight_average import average_params
from tests.train.test_weight_average import abstract, members
for mesh in ({"data": 4, "fsdp": 1}, {"fsdp": 4}, {"data": 2, "fsdp": 2}):
    found = average_params(abstract(**mesh), members(Path(arguments[0])))
    print("digest", params_digest(found), flush=True)
"""


def test_two_processes_give_the_same_bits(tmp_path: Path, run_job: RunJob) -> None:
    saved(tmp_path / "checkpoints")
    digest = params_digest(average_params(abstract(), members(tmp_path / "checkpoints")))
    for ended in run_job(SCRIPT, tmp_path / "checkpoints"):
        assert ended.returncode == 0, ended.stderr
        lines = [line for line in ended.stdout.splitlines() if line.startswith("digest")]
        assert lines == [f"digest {digest}"] * 3
