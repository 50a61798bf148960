"""Single arrays of a checkpoint; see tests/interop for whole exports."""

import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig
from codepretrain.errors import UserError


def test_arrays_one_at_a_time_and_damage(tmp_path) -> None:
    to = Checkpoints(tmp_path / "checkpoints", CheckpointPolicy(CheckpointConfig()))
    state = {"params": {"w": jnp.arange(6.0).reshape(2, 3)}, "step": jnp.int32(4)}
    to.save(4, state, ledger={}, identity={"phase": "trunk"})
    to.close()
    with open_leaves(to.path(4)) as leaves:
        assert leaves.identity == {"phase": "trunk"}
        assert leaves.shapes == {"params/w": (2, 3), "step": ()}
        assert np.array_equal(leaves.read("params/w"), np.arange(6.0).reshape(2, 3))
    (tmp_path / "checkpoints" / "4" / "state" / "_METADATA").write_text("{}")
    with pytest.raises(UserError, match=r"damaged checkpoint \S+/4: state/_METADATA: expected"):  # noqa: SIM117
        with open_leaves(to.path(4)):
            pass
