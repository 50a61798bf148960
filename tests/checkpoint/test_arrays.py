"""Leaves are compared by path, shape and dtype before anything is read."""

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from codepretrain.checkpoint.arrays import Writing, read_arrays, some
from codepretrain.errors import UserError


def test_written_merged_and_read(tmp_path) -> None:
    folder = epath.Path(tmp_path / "state")
    folder.mkdir()
    state = {"w": jnp.arange(6, dtype=jnp.bfloat16), "b": jnp.int32(3)}
    writing = Writing(folder, state)
    writing.wait()
    writing.merge()
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    found = read_arrays(folder, abstract)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), found, state))
    wrong = {"w": jax.ShapeDtypeStruct((6,), jnp.float32), "c": abstract["b"]}
    with pytest.raises(
        UserError,
        match=r"w is \[6\] bfloat16 in the checkpoint and \[6\] float32 in the model; "
        "c is missing in the checkpoint; b is only in the checkpoint; use the model",
    ):
        read_arrays(folder, wrong)


def test_arrays_without_an_index_are_an_error(tmp_path) -> None:
    """Orbax takes brackets for a pattern, and finds no files to index."""
    folder = epath.Path(tmp_path / "study [1]" / "state")
    folder.mkdir(parents=True)
    writing = Writing(folder, {"w": jnp.arange(6)})
    writing.wait()
    with pytest.raises(UserError, match="Orbax found no arrays to index; the checkpoint is not"):
        writing.merge()


def test_some() -> None:
    assert some(["a", "b"]) == "a; b"
    assert some(list("abcde")) == "a; b; c; and 2 more"
