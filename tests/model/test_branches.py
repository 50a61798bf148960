import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.model.branches import Branches, branch_mask, forward_branches
from codepretrain.model.transformer import bind

# The figure of the module, row by row.
SEGMENTS = [1, 1, 1, 2, 0, 1, 1, 1, 2, 0]
BRANCHES = [1, 1, 2, 3, 0]
POSITIONS = [0, 1, 2, 0, 0, 3, 4, 3, 1, 0]
SEEN = """
    xxx.. x....
    xxx.. xx...
    xxx.. ..x..
    ...x. ...x.
    ....x ....x
"""


def test_a_branch_sees_its_prefix_and_itself() -> None:
    mask = branch_mask(jnp.array([SEGMENTS]), jnp.array([BRANCHES]))[0]
    expected = [[c == "x" for c in line.replace(" ", "")] for line in SEEN.split("\n")[1:-1]]
    assert np.asarray(mask).tolist() == expected


@pytest.mark.parametrize(
    ("kernel", "max_scores"), [("reference", 1000), ("blocked", 1000), ("reference", 40)]
)
@pytest.mark.parametrize("changes", [{}, {"use_qk_norm": True, "num_kv_heads": 1}])
def test_branches_are_what_rows_of_their_own_are(
    tiny, noisy_params, forward, changes, kernel, max_scores
) -> None:
    """Together, and one query at a time: there are 4 heads · 5 queries · 10 keys."""
    config = tiny(**changes)
    params = noisy_params(config)
    tokens = jnp.array([[7, 8, 9, 5, 49, 11, 12, 13, 6, 48]])
    rows = Branches(tokens, jnp.array([POSITIONS]), jnp.array([SEGMENTS]), jnp.array([BRANCHES]))
    model = bind(config, params, remat_policy="none", attention_kernel=kernel)
    found = forward_branches(model, rows, max_scores=max_scores)[0]

    def alone(*ids: int):
        row = jnp.array([ids])
        positions = jnp.arange(len(ids))[None]
        return forward(config, params, row, positions, jnp.ones_like(row))[0]

    expected = [*alone(7, 8, 9, 11, 12)[3:], *alone(7, 8, 9, 13)[3:], *alone(5, 6)[1:]]
    np.testing.assert_allclose(found[:4], jnp.stack(expected), rtol=1e-4, atol=1e-5)
    assert np.isfinite(found).all()
