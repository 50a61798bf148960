"""Document-causal attention by name.

A kernel takes query [B, T, N, H], key and value [B, T, K, H] of one compute dtype and segment_ids
[B, T] int32, and returns [B, T, N, H]: values weighted by a float32 softmax of the scores
query · key / sqrt(H), where query head n reads key-value head n // (N / K).

Who sees whom, for segment_ids 1 1 2 2 2 0 0 (rows are queries, columns keys):

        1 1 2 2 2 0 0
    1   ■
    1   ■ ■
    2       ■
    2       ■ ■
    2       ■ ■ ■
    0             ■
    0             ■ ■

Padding (0) is a segment like another: nothing else sees it, and as every query sees at least itself
no softmax is empty and no output is NaN.

    name        for         [T, T]     by
    reference   any device  whole      this file
    blocked     any device  5/8, 9/16  this file: no scores of keys that come after all queries
    splash      TPU         never      Pallas splash attention       (`splash_attention.py`)
    pallas_gpu  NVIDIA GPU  never      Pallas flash attention        (`gpu_attention.py`)
    cudnn       NVIDIA GPU  never      cuDNN's, bfloat16, Hopper on  (`gpu_attention.py`)
    auto                               splash on TPU, pallas_gpu on GPU, blocked on CPU

A name is never exchanged for another in silence: where a kernel cannot run, asking for it is an
error, and what it leaves to another for some rows (`limits`) is printed when a run starts. Choosing
by measurement is the user's (`benchmarks/train_step.py` compares them).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from codepretrain.errors import UserError
from codepretrain.model.remat import name_activation

_BLOCK_Q, _MAX_BLOCKS = 64, 8  # of `blocked`
_HIDDEN = -1e30  # swallows any score it is added to; its exponential is exactly zero


@dataclass(frozen=True)
class AttentionKernel:
    """A kernel with its settings. Hashable, so that it may be a static part of a model.

    block_q, block_kv: queries and keys that it holds at a time, None for its own choice.
    interpret: run a Pallas kernel in Python, operation by operation, on any device; for tests.
    """

    name: str
    block_q: int | None = None
    block_kv: int | None = None
    interpret: bool = False

    @property
    def limits(self) -> str | None:
        """What it cannot do and who does it then: to be announced by whoever runs it."""
        return _LIMITS.get(self.name)

    @property
    def is_partitionable(self) -> bool:
        """Whether the compiler can split it over devices; others run on each device's part."""
        return self.name in ("reference", "blocked")

    def __call__(
        self, query: jax.Array, key: jax.Array, value: jax.Array, segment_ids: jax.Array
    ) -> jax.Array:
        """Returns the attention [B, T, N, H] that this file's docstring defines."""
        if self.name == "reference":
            return reference(query, key, value, segment_ids)
        if self.name == "blocked":
            return blocked(query, key, value, segment_ids, block_q=self.block_q)
        settings = {"block_q": self.block_q, "block_kv": self.block_kv, "interpret": self.interpret}
        return _load(self.name)(query, key, value, segment_ids, **settings)


# Name → the platform it runs on; None for any.
_PLATFORMS = {
    "reference": None,
    "blocked": None,
    "splash": "tpu",
    "pallas_gpu": "gpu",
    "cudnn": "gpu",
}
_LIMITS = {
    "cudnn": "it keeps at most 64 documents of a row apart; where a row of a device's micro-batch "
    "holds more, all of that micro-batch's rows go through pallas_gpu there"
}
_AUTOMATIC = {"tpu": "splash", "gpu": "pallas_gpu", "cpu": "blocked"}


def _load(name: str) -> Callable[..., jax.Array]:
    """Imports a kernel where it is used: Pallas takes a second, and a CPU never needs it."""
    if name == "splash":
        from codepretrain.model.splash_attention import splash

        return splash
    from codepretrain.model import gpu_attention

    return {"pallas_gpu": gpu_attention.pallas_gpu, "cudnn": gpu_attention.cudnn}[name]


def as_kernel(kernel: str | AttentionKernel) -> AttentionKernel:
    """Returns the kernel, or the one of this name with its own settings.

    Raises:
      UserError: there is none of this name.
    """
    if isinstance(kernel, AttentionKernel):
        return kernel
    if kernel not in _PLATFORMS:
        raise UserError(
            f"execution.attention_kernel: no kernel is called {kernel!r}; "
            f"expected one of auto, {', '.join(sorted(_PLATFORMS))}"
        )
    return AttentionKernel(kernel)


def choose_kernel(
    name: str, *, platform: str, block_q: int | None = None, block_kv: int | None = None
) -> AttentionKernel:
    """Returns the kernel of this name for devices of `platform` ("cpu", "gpu", "tpu").

    Raises:
      UserError: there is none of this name, or it does not run on such devices.
    """
    known = as_kernel(_AUTOMATIC[platform] if name == "auto" else name).name
    where = _PLATFORMS[known]
    if where not in (None, platform):
        raise UserError(
            f"execution.attention_kernel: {known!r} runs on {where}, but the devices are "
            f"{platform}; here 'auto' takes {_AUTOMATIC[platform]!r}"
        )
    return AttentionKernel(known, block_q=block_q, block_kv=block_kv)


def attend(query: jax.Array, key: jax.Array, value: jax.Array, *, mask: jax.Array) -> jax.Array:
    """Returns attention [B, T, N, H] of T queries over S keys where mask [B, T, S] is true.

    Materializes the scores [B, N, T, S] in float32. Heads come first and the mask is added, not
    selected: on two CPU cores, gradients at T 256 took 37 ms so, and 53 ms with tokens first.
    Dividing by the sum comes last, as flash attention does, so that its gradient needs no pass over
    the scores (18.5 → 13.9 ms there).
    """
    B, T, N, H = query.shape
    K = key.shape[2]
    query = query.reshape(B, T, K, N // K, H).transpose(0, 2, 3, 1, 4)
    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)
    scores = jnp.einsum("bkgth,bksh->bkgts", query, key, preferred_element_type=jnp.float32)
    # The scale comes after the product, in float32: 1/sqrt(H) is no power of two for H = 128.
    scores = scores * H**-0.5 + jnp.where(mask, 0.0, _HIDDEN)[:, None, None]
    exponentials = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True)))
    attended = jnp.einsum(
        "bkgts,bksh->bkgth",
        exponentials.astype(value.dtype),
        value,
        preferred_element_type=jnp.float32,
    )
    attended = (attended / jnp.sum(exponentials, -1, keepdims=True)).astype(value.dtype)
    return attended.transpose(0, 3, 1, 2, 4).reshape(B, T, N, H)


def reference(
    query: jax.Array, key: jax.Array, value: jax.Array, segment_ids: jax.Array
) -> jax.Array:
    """The plain formula: the ground truth of every other kernel."""
    return blocked(query, key, value, segment_ids, block_q=query.shape[1])


def blocked(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    *,
    block_q: int | None,
) -> jax.Array:
    """The plain formula for blocks of queries, each with the keys up to its own last one.

    Blocks of 64 queries, or larger ones where that makes more than eight:

        queries   keys →
        block 1   ■ · · ·
        block 2   ■ ■ · ·      · is not computed: 3/8 of all pairs with four blocks,
        block 3   ■ ■ ■ ·        7/16 with eight
        block 4   ■ ■ ■ ■
    """
    T = query.shape[1]
    block_q = block_q or max(_BLOCK_Q, -(-T // _MAX_BLOCKS))
    parts = []
    for start in range(0, T, block_q):
        end = min(start + block_q, T)
        causal = jnp.arange(start, end)[None, :, None] >= jnp.arange(end)[None, None]
        same_segment = segment_ids[:, start:end, None] == segment_ids[:, None, :end]
        parts.append(
            attend(query[:, start:end], key[:, :end], value[:, :end], mask=causal & same_segment)
        )
    return name_activation(jnp.concatenate(parts, axis=1), "attention_output")
