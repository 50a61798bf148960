"""Rematerialization policies: what is saved for the backward pass and what is recomputed.

Activations are named where they are computed (`checkpoint_name`): "block_input", "query", "key" and
"value" (after norm and rotation), and "attention_output" (before the output projection). A kernel
also gives this last name to everything else that its backward pass needs from the forward pass,
such as the log-sum-exp of the scores; otherwise the forward kernel would have to run again.

    policy          kept per layer                            computed again
    full            block_input                               everything
    offload         block_input, in the host's memory         everything
    save_attention  block_input, query, key, value,           norm, MLP; scores, within the
                    attention_output                            backward kernel
    none            inputs of all products, norms, gates;     norm, gating: elementwise functions
                      what the attention kernels need           and sums over D

Norms and the gating of the MLP keep their inputs only, whatever the policy (`keep_inputs_only`):
autodiff would keep each of their intermediate results, 3 arrays [B, T, D] and 3 [B, T, F] more per
layer, which take longer to write and read than to compute again.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name as name_activation

from codepretrain.errors import UserError

__all__ = [
    "REMAT_POLICIES",
    "checked_policy",
    "keep_inputs_only",
    "name_activation",
    "rematerialize",
]

_POLICIES = jax.checkpoint_policies
REMAT_POLICIES: dict[str, Any] = {
    "full": _POLICIES.nothing_saveable,
    "offload": _POLICIES.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=["block_input"],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "save_attention": _POLICIES.save_only_these_names("query", "key", "value", "attention_output"),
    "none": None,
}


def checked_policy(policy: str) -> str:
    """Returns `policy`.

    Raises:
      UserError: no policy has this name.
    """
    if policy not in REMAT_POLICIES:
        raise UserError(
            f"config.execution.remat_policy: no policy is called {policy!r}; "
            f"expected one of {', '.join(sorted(REMAT_POLICIES))}"
        )
    return policy


def rematerialize(block: Callable, *, policy: str) -> Callable:
    """Returns `block` (the body of the scan over layers) under the policy of this name."""
    if policy == "none":
        return block
    # Inside a scan the loop itself keeps XLA from merging the two computations.
    return jax.checkpoint(block, policy=REMAT_POLICIES[policy], prevent_cse=False)


def keep_inputs_only(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Returns `function`, whose intermediate results the backward pass computes again.

    For cheap functions. As in `rematerialize`, the loop over layers separates the two computations;
    outside of the loop XLA may merge them and keep the intermediate results.
    """
    return jax.checkpoint(function, prevent_cse=False)
