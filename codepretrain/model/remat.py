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
    none            block_input, norm's output, query, key,   norm, gating (no matrix product)
                      value, attention_output, gate, up;
                      scores, if the kernel holds them

Norms and the gating of the MLP keep their inputs only (`keep_inputs_only`). Autodiff would keep 3
arrays [B, T, D] and 4 arrays [B, T, F] more per layer, which takes longer than the computation.
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
    """Returns `function` with only its inputs kept for the backward pass.

    For elementwise functions, norms, and products whose inputs they compute: a product's gradient
    does not need its result, so the product is not computed again. In a scan over layers nothing
    else is kept; elsewhere XLA may merge the two computations and keep intermediate results.
    """
    return jax.checkpoint(function, prevent_cse=False)
