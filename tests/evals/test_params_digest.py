"""The digest depends on every bit of the parameters, and on nothing else."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.evals import params_digest as digests
from codepretrain.evals.params_digest import params_digest
from codepretrain.model.transformer import Params


def test_it_is_the_same_on_every_mesh(params: Params, sharded_params: Params, mesh: Mesh) -> None:
    assert mesh.size == 8
    assert params_digest(sharded_params) == params_digest(params)


def test_other_parameters_compile_nothing(
    sharded_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = params_digest(sharded_params)
    others = jax.tree.map(lambda x: x + x, sharded_params)
    monkeypatch.delattr(digests, "_sums_of_one")  # it is called when the function is traced
    assert params_digest(others) != first


def test_every_change_changes_it() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    swapped = array.copy()
    swapped[0, 1], swapped[0, 2] = array[0, 2], array[0, 1]
    bit = array.copy()
    bit.view(np.uint32)[3, 5] ^= 1
    trees: list[Any] = [
        {"a": array},
        {"b": array},
        {"a": swapped},
        {"a": bit},
        {"a": -array},
        {"a": array.T},
        {"a": array.reshape(6, 4)},
        {"a": array.astype(jnp.bfloat16)},
        {"a": array.astype(np.int32)},
        {"a": array, "c": np.zeros(0, np.float32)},
        {"a": array[::-1]},
        {},
    ]
    assert len({params_digest(tree) for tree in trees}) == len(trees)
    assert params_digest({"a": jnp.asarray(array)}) == params_digest({"a": array})


def test_swapped_rows_of_large_arrays_are_told_apart() -> None:
    array = np.asarray(jax.random.normal(jax.random.key(0), (512, 64)))
    assert params_digest({"a": array}) != params_digest({"a": np.roll(array, 1, axis=0)})
