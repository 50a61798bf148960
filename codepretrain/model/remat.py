"""Rematerialization policies: what is saved for the backward pass and what is recomputed.

Activations are named where they are computed (`checkpoint_name`): "block_input", "query", "key" and
"value" (after norm and rotation), "attention_output" (before the output projection), and "gate" and
"up" (of the MLP, before the nonlinearity). A kernel also gives the name "attention_output" to
everything else that its backward pass needs from the forward pass, such as the log-sum-exp of the
scores; otherwise the forward kernel would have to run again.

    policy          kept per layer                            computed again
    full            block_input                               everything
    offload         block_input, in the host's memory         everything
    save_attention  block_input, query, key, value,           norm, MLP; scores, within the
                    attention_output                            backward kernel
    save_products   the same, gate, up                        norm, gating; scores, within the
                                                                backward kernel
    none            the same, norm's output;                  norm and gating, within their
                      scores, if the kernel holds them          gradients

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
_ATTENTION = ("query", "key", "value", "attention_output")
REMAT_POLICIES: dict[str, Any] = {
    "full": _POLICIES.nothing_saveable,
    "offload": _POLICIES.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=["block_input"],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "save_attention": _POLICIES.save_only_these_names(*_ATTENTION),
    "save_products": _POLICIES.save_only_these_names(*_ATTENTION, "gate", "up"),
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


def rematerialize(block: Callable, *, policy: str, is_in_loop: bool) -> Callable:
    """Returns `block` (the body of the scan over layers) under the policy of this name."""
    if policy == "none":
        return block
    # A loop keeps XLA from merging the two computations of the same value.
    return jax.checkpoint(block, policy=REMAT_POLICIES[policy], prevent_cse=not is_in_loop)


def keep_inputs_only(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Returns `function` with only its inputs kept for the backward pass.

    For elementwise functions, norms, and products whose inputs they compute: a product's gradient
    does not need its result, so the product is not computed again. In a scan over layers nothing
    else is kept; elsewhere XLA may merge the two computations and keep intermediate results.
    """
    return jax.checkpoint(function, prevent_cse=False)
