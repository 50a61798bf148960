"""What the backward pass finds in memory and what it computes again, by name.

Activations are named where they arise (`checkpoint_name`): "block_input", "query", "key", "value"
(after norm and rotation) and "attention_output" (before the output projection, with whatever else
the kernel's own backward pass wants: a kernel gives the name where that arises).

    policy          kept per layer                            computed again
    full            block_input                               everything
    offload         block_input, in the host's memory         everything
    save_attention  block_input, query, key, value,           norm, MLP, attention weights
                    attention_output
    none            everything                                nothing
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name as name_activation

from codepretrain.errors import UserError

__all__ = ["REMAT_POLICIES", "checked_policy", "name_activation", "rematerialize"]

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
      UserError: there is none of this name.
    """
    if policy not in REMAT_POLICIES:
        raise UserError(
            f"execution.remat_policy: no policy is called {policy!r}; "
            f"expected one of {', '.join(sorted(REMAT_POLICIES))}"
        )
    return policy


def rematerialize(block: Callable, *, policy: str) -> Callable:
    """Returns `block` (the body of the scan over layers) under the policy of this name."""
    if policy == "none":
        return block
    # Inside a scan the loop itself keeps XLA from merging the two computations.
    return jax.checkpoint(block, policy=REMAT_POLICIES[policy], prevent_cse=False)
