"""The forward pass of rows in which several continuations share a prefix.

A row has S places for prefixes and C for their branches. A branch sees the prefix that it belongs
to and itself, so it gets what it would get in a row of its own. Here a prefix of 3 tokens with
branches of 2 and 1 tokens, and a prefix of 1 token with a branch of 1, for S = 5 and C = 5 (rows
are queries, columns are keys; 0 is padding):

     segment  1 1 1 2 0 | 1 1 1 2 0
      branch            | 1 1 2 3 0
    position  0 1 2 0 . | 3 4 3 1 .
              ----------------------
              ■         |
              ■ ■       |
              ■ ■ ■     |
                    ■   |
                      ■ |
              ----------------------
              ■ ■ ■     | ■
              ■ ■ ■     | ■ ■
              ■ ■ ■     |     ■
                    ■   |       ■
                      ■ |         ■

The upper part is the attention of any row, by any kernel. The lower part is the plain formula, with
scores [B, N, C, S + C] in float32, of which a part at a time is in memory.
"""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from codepretrain.model.transformer import Transformer

Array = TypeVar("Array")  # jax.Array, or np.ndarray on the host


class Branches(NamedTuple, Generic[Array]):
    """B rows: tokens, positions, segment_ids are [B, S + C] int32; branches [B, C] int32."""

    tokens: Array
    positions: Array
    segment_ids: Array
    branches: Array


def forward_branches(
    model: Transformer, rows: Branches[jax.Array], *, max_scores: int = 1 << 30
) -> jax.Array:
    """Returns the hidden states of the branches after the final norm: [B, C, D] compute dtype.

    max_scores: of the branches' attention, in memory at a time, of all heads and rows together.
    """
    (B, width), C = rows.tokens.shape, rows.branches.shape[1]
    S, num_scores = width - C, B * model.config.num_heads * C * width
    divisors = [number for number in range(1, C + 1) if C % number == 0]
    num_blocks = next((n for n in divisors if num_scores <= max_scores * n), C)
    rope, mask = model.rotation(rows.positions), branch_mask(rows.segment_ids, rows.branches)
    graph, stacked = nnx.split(model.blocks)

    def body(x: jax.Array, layer: nnx.State) -> tuple[jax.Array, None]:
        x = nnx.merge(graph, layer).branches(
            x,
            rope=rope,
            segment_ids=rows.segment_ids[:, :S],
            mask=mask,
            num_blocks=num_blocks,
        )
        return x, None

    x, _ = jax.lax.scan(body, model.embed(rows.tokens), stacked)
    return model.final_norm(x[:, S:])


def branch_mask(segment_ids: jax.Array, branches: jax.Array) -> jax.Array:
    """Returns the lower part of the figure: [B, C, S + C] bool."""
    C = branches.shape[1]
    S = segment_ids.shape[1] - C
    is_own_prefix = segment_ids[:, S:, None] == segment_ids[:, None, :S]
    is_own_branch = branches[:, :, None] == branches[:, None, :]
    is_earlier = jnp.arange(C)[:, None] >= jnp.arange(C)[None]
    return jnp.concatenate([is_own_prefix, is_own_branch & is_earlier[None]], axis=2)
