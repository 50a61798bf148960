"""The table of attention kernels: document-causal attention by name.

A kernel takes query [B, T, N, H], key and value [B, T, K, H] of one compute dtype and segment_ids
[B, T] int32. It returns [B, T, N, H]: values weighted by a float32 softmax of the scores
query · key / sqrt(H), where query head n reads key-value head n // (N / K).

The mask for segment_ids 1 1 2 2 2 0 0 (rows are queries, columns are keys):

        1 1 2 2 2 0 0
    1   ■
    1   ■ ■
    2       ■
    2       ■ ■
    2       ■ ■ ■
    0             ■
    0             ■ ■

Padding (0) is a segment like any other: no other segment attends to it. Every query attends at
least to itself, so no softmax is empty and no output is NaN.

    name        for         scores held          implementation in `kernels/`
    reference   any device  [T, T]               the plain formula
    blocked     any device  5/8 to 9/16 of it    the plain formula without most of the masked half
    splash      TPU         one block            Pallas splash attention
    pallas_gpu  NVIDIA GPU  one block            Pallas flash attention (Triton)
    cudnn       NVIDIA GPU  one block            cuDNN flash attention, Hopper or later

To add a kernel, write `kernels/<name>.py` with a function `attention` (`KernelFunction`) and add
its row to `KERNELS`. A kernel names its output, and everything else that its backward pass needs
from the forward pass, "attention_output" (`remat.py`).

A kernel is never silently replaced by another: requesting one that cannot run is an error, and
cases that a kernel passes to another one (`limits`) are printed when a run starts.
`benchmarks/attention.py` and `benchmarks/train_step.py` compare kernels.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax

from codepretrain.errors import UserError


class KernelFunction(Protocol):
    """The type of a kernel module's `attention` function, which may ignore the settings."""

    def __call__(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        segment_ids: jax.Array,
        *,
        block_q: int | None,
        block_kv: int | None,
        interpret: bool,
    ) -> jax.Array:
        """Returns the attention [B, T, N, H] that this file's docstring defines."""


@dataclass(frozen=True, kw_only=True)
class BlockRule:
    """Which block sizes a kernel accepts, as a predicate and in words."""

    accepts: Callable[[int], bool]
    expected: str


_ANY_SIZE = BlockRule(accepts=lambda size: size > 0, expected="a positive number")
_TRITON = BlockRule(
    # Triton tiles are powers of two, its products take at least 16 rows, and the backward kernels
    # halve the blocks.
    accepts=lambda size: size >= 32 and size & (size - 1) == 0,
    expected="a power of two, 32 or larger",
)
_LANES = BlockRule(accepts=lambda size: size % 128 == 0, expected="a multiple of 128")


@dataclass(frozen=True, kw_only=True)
class KernelSpec:
    """One row of the table.

    platform: the JAX platform it runs on, None for any. default_on: the platform where "auto"
    selects it; of several, the first whose other conditions hold. is_partitionable: whether the
    compiler can split it over devices; other kernels run on each device's part. compute_dtypes:
    None for any. compute_capability: NVIDIA's number of the oldest GPUs that it runs on. limits:
    the cases that it passes to another kernel.
    """

    platform: str | None
    default_on: str | None = None
    compute_capability: float | None = None
    is_partitionable: bool = False
    block_rule: BlockRule = _ANY_SIZE
    compute_dtypes: tuple[str, ...] | None = None
    limits: str | None = None


KERNELS: dict[str, KernelSpec] = {
    "reference": KernelSpec(platform=None, is_partitionable=True),
    "blocked": KernelSpec(platform=None, default_on="cpu", is_partitionable=True),
    "splash": KernelSpec(platform="tpu", default_on="tpu", block_rule=_LANES),
    "cudnn": KernelSpec(
        platform="gpu",
        default_on="gpu",
        compute_capability=9.0,
        block_rule=_TRITON,
        compute_dtypes=("bfloat16",),
        limits="it keeps at most 64 documents of a row apart; a device's micro-batch in which a "
        "row holds more runs through pallas_gpu instead",
    ),
    "pallas_gpu": KernelSpec(platform="gpu", default_on="gpu", block_rule=_TRITON),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What decides which kernels can run.

    platform: of the devices, "cpu", "gpu" or "tpu". compute_capability: of NVIDIA GPUs, if known.
    """

    platform: str
    compute_dtype: str
    compute_capability: float | None = None

    @classmethod
    def of(cls, device: jax.Device, compute_dtype: str) -> "Target":
        """Returns the target that a device is."""
        capability = getattr(device, "compute_capability", None)  # only NVIDIA GPUs have one
        return cls(
            platform=device.platform,
            compute_dtype=compute_dtype,
            compute_capability=float(capability) if capability else None,
        )

    def runs(self, spec: KernelSpec) -> bool:
        """Returns whether the conditions of a row hold."""
        return (
            spec.platform in (None, self.platform)
            and (spec.compute_dtypes is None or self.compute_dtype in spec.compute_dtypes)
            and self.is_new_enough(spec)
        )

    def is_new_enough(self, spec: KernelSpec) -> bool:
        return (self.compute_capability or 0.0) >= (spec.compute_capability or 0.0)


@dataclass(frozen=True)
class AttentionKernel:
    """A kernel with its settings. Hashable, so it can be a static part of a model.

    block_q, block_kv: queries and keys that it holds at a time, None for the kernel's choice.
    interpret: run a Pallas kernel in Python, operation by operation, on any device; for tests.
    """

    name: str
    block_q: int | None = None
    block_kv: int | None = None
    interpret: bool = False

    @property
    def spec(self) -> KernelSpec:
        return KERNELS[self.name]

    @property
    def limits(self) -> str | None:
        """The cases that it passes to another kernel, for the line printed when a run starts."""
        return self.spec.limits

    @property
    def is_partitionable(self) -> bool:
        return self.spec.is_partitionable

    def check_compute_dtype(self, compute_dtype: str) -> None:
        """Raises UserError if the kernel does not compute in this dtype."""
        supported = self.spec.compute_dtypes
        if supported is not None and compute_dtype not in supported:
            raise UserError(
                f"config.execution.attention_kernel: {self.name!r} computes in "
                f"{' or '.join(supported)}, but config.model.compute_dtype is {compute_dtype!r}; "
                "change one of the two"
            )

    def __call__(
        self, query: jax.Array, key: jax.Array, value: jax.Array, segment_ids: jax.Array
    ) -> jax.Array:
        """Returns the attention [B, T, N, H] that this file's docstring defines."""
        # Imported at first use: importing Pallas takes a second, and a CPU never needs it.
        module = importlib.import_module(f"codepretrain.model.kernels.{self.name}")
        function: KernelFunction = module.attention
        settings = {"block_q": self.block_q, "block_kv": self.block_kv}
        return function(query, key, value, segment_ids, **settings, interpret=self.interpret)


def as_kernel(kernel: str | AttentionKernel) -> AttentionKernel:
    """Returns the kernel, or the one of this name with its default settings.

    Raises:
      UserError: no kernel has this name.
    """
    if isinstance(kernel, AttentionKernel):
        return kernel
    if kernel not in KERNELS:
        raise UserError(
            f"config.execution.attention_kernel: no kernel is called {kernel!r}; "
            f"expected one of auto, {', '.join(sorted(KERNELS))}"
        )
    return AttentionKernel(kernel)


def default_kernel(target: Target) -> str:
    """Returns the kernel that "auto" selects."""
    return next(
        name
        for name, spec in KERNELS.items()
        if spec.default_on == target.platform and target.runs(spec)
    )


def choose_kernel(
    name: str, target: Target, *, block_q: int | None = None, block_kv: int | None = None
) -> AttentionKernel:
    """Returns the kernel of this name for the target; "auto" selects one.

    Raises:
      UserError: no kernel has this name, or it does not run on these devices, or it does not
        support these block sizes.
    """
    known = as_kernel(default_kernel(target) if name == "auto" else name).name
    spec = KERNELS[known]
    if spec.platform not in (None, target.platform):
        raise UserError(
            f"config.execution.attention_kernel: {known!r} runs on {spec.platform}, but the "
            f"devices are {target.platform}; 'auto' selects {default_kernel(target)!r} here"
        )
    if not target.is_new_enough(spec):
        raise UserError(
            f"config.execution.attention_kernel: {known!r} expects a GPU of compute capability "
            f"{spec.compute_capability} or later, but this one has {target.compute_capability}; "
            f"'auto' selects {default_kernel(target)!r} here"
        )
    for side, size in (("q", block_q), ("kv", block_kv)):
        if size is not None and not spec.block_rule.accepts(size):
            raise UserError(
                f"config.execution.attention_block_{side}: {known!r} expects "
                f"{spec.block_rule.expected}, got {size}; None leaves it to the kernel"
            )
    return AttentionKernel(known, block_q=block_q, block_kv=block_kv)
