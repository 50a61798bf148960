"""Every config field of a study, as frozen dataclasses. Standard library only.

Those of the data are in `config/data_schema.py`, those of evaluations in `config/evals_schema.py`,
replicates and contrasts in `config/inference_schema.py`.

A study file (`experiments/*.py`) defines `get_config()`, which returns these values as a locked
`ml_collections.ConfigDict`. `config/load.py` applies the overrides of the command line and builds
the `StudyConfig` below; `config/values.py` lists what each field may hold. No other module has a
default.

Units are in the names: `_tokens` counts row positions (a row of `max_seq_len` positions is
`max_seq_len` tokens), `_steps` counts optimizer updates, `_s` is seconds, `_bytes` bytes.

`model`, `data`, `training`, `optimizer`, a replicate's seeds and the phase itself change a phase's
result, and with it its fingerprint. `execution`, `checkpoint`, `evals`, `averages`, `contrasts`,
`logging` and `cost` do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from codepretrain.config.average_schema import AverageConfig
from codepretrain.config.checkpoint_schema import CheckpointConfig
from codepretrain.config.data_schema import (
    DataConfig,
    DecontaminationConfig,
    DeduplicationConfig,
    FilterConfig,
    SourceConfig,
    TokenizerConfig,
)
from codepretrain.config.evals_schema import AveragesConfig, EvaluatorConfig
from codepretrain.config.inference_schema import ContrastConfig, ReplicateConfig

__all__ = [
    "AverageConfig",
    "AveragesConfig",
    "CheckpointConfig",
    "ContrastConfig",
    "CostConfig",
    "DataConfig",
    "DecontaminationConfig",
    "DeduplicationConfig",
    "EvaluatorConfig",
    "ExecutionConfig",
    "FilterConfig",
    "LoggingConfig",
    "MeshConfig",
    "MixtureChange",
    "ModelConfig",
    "OptimizerConfig",
    "PhaseConfig",
    "ReplicateConfig",
    "ScheduleConfig",
    "SourceConfig",
    "StudyConfig",
    "TokenizerConfig",
    "TrainingConfig",
]


def _empty() -> Mapping:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The Command-R block: one LayerNorm without bias feeds attention and SwiGLU in parallel.

    `compute_dtype` is that of activations and matrix products; "float32" computes the products in
    full precision on every platform (`train/numerics.py`). Parameters are always float32.
    """

    vocab_size: int
    d_model: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    d_ff: int
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    logit_scale: float = 1.0
    tie_embeddings: bool = True
    use_qk_norm: bool = False
    compute_dtype: str = "bfloat16"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Batch and objective, the same in every phase of a study.

    An update is skipped if its loss or gradient norm is not finite, or if the gradient norm exceeds
    `spike_factor` times its running mean. The run stops after `max_consecutive_skips` skipped
    updates in a row.
    """

    batch_size: int
    z_loss_coefficient: float = 1e-4
    mask_documents: bool = True
    spike_factor: float = 10.0
    max_consecutive_skips: int = 20


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with clipping by global norm. Norm scales are never decayed."""

    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay_embeddings: bool = True
    max_gradient_norm: float = 1.0
    first_moment_dtype: str = "float32"


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Learning rate over one phase of N steps, s = 0 … N-1.

    The rate rises linearly from `start_learning_rate` at s = 0 to the peak at s = `warmup_steps`.
    It stays at the peak for all but the last `decay_fraction` of the remaining steps, and then
    decays along `shape` to exactly `end_learning_rate` at s = N-1. For example,
    `shape="linear", decay_fraction=0.1` is warmup-stable-decay; `shape="constant"` never decays.

    `peak_learning_rate=None` takes the parent's rate at the branch point;
    `start_learning_rate=None` warms up from that rate (re-warming).
    """

    shape: str
    peak_learning_rate: float | None = None
    end_learning_rate: float | None = None
    warmup_steps: int = 0
    start_learning_rate: float | None = 0.0
    decay_fraction: float = 1.0


@dataclass(frozen=True, kw_only=True)
class MixtureChange:
    """New mixture weights, in effect from `at_tokens` tokens into the phase."""

    at_tokens: int
    weights: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """One stretch of training, or with `kind="average"` an average of checkpoints of other phases.

    An average has `average` and no other field but `is_replicated`; training must have `tokens`,
    `mixture` and `schedule`.
    `parent` is another phase, at its end or after its first `parent_tokens` tokens. A phase without
    a parent starts from random parameters, or from those of `initial_checkpoint`, the name of a
    model that `codepretrain import` has read, with a fresh optimizer and at the beginning of every
    source.
    `mixture` holds weights per source in tokens; they are normalized to sum to one.
    `data_order` "continue" starts each source where the parent stopped; "restart" starts it at the
    beginning, and so reads the same rows in the same order again.
    `carry_optimizer` keeps Adam's moments and step count from the parent.
    `is_replicated=False` trains the phase in the first replicate alone; its children in the other
    replicates start from it as well, and are not independent of one another.
    """

    kind: str = "train"
    tokens: int | None = None
    mixture: Mapping[str, float] = field(default_factory=_empty)
    schedule: ScheduleConfig | None = None
    parent: str | None = None
    parent_tokens: int | None = None
    initial_checkpoint: str | None = None
    mixture_changes: tuple[MixtureChange, ...] = ()
    data_order: str = "continue"
    carry_optimizer: bool = True
    weight_decay: float | None = None
    is_replicated: bool = True
    average: AverageConfig | None = None

    @property
    def origins(self) -> tuple[str, ...]:
        """The names of the phases whose checkpoints this one starts from, or averages."""
        if self.average is not None:
            return self.average.members
        return () if self.parent is None else (self.parent,)


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Devices along each mesh axis; one of them may be -1, which takes the remaining devices.

    If all are None, the rule for the machine applies (`hardware/mesh_rules.py`). If one is set, the
    others default to data 1, fsdp -1, tensor 1.
    """

    data: int | None = None
    fsdp: int | None = None
    tensor: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig:
    """How a phase is computed. These fields change results only by float rounding.

    `attention_kernel` is a name in `model/attention_kernels.py`; "auto" chooses by the devices.
    `attention_block_q` and `_kv` are the queries and keys that a kernel processes at a time; None
    leaves the choice to the kernel. `unroll_layers` compiles the layers one after another instead
    of one in a loop: a longer compilation, fewer copies; on CPUs, XLA then keeps what the remat
    policy would compute again. The loss computes `loss_vocab_block`
    logits of `loss_token_block` positions at a time, on each device; None is the whole vocabulary
    and 4096 positions on GPUs, 2048 and 8192 elsewhere. `gradient_reduction_dtype` is that of
    gradients while they are summed over devices. `deterministic` makes a training step on GPUs give
    the same bits in every process, at some cost in speed; TPUs and CPUs do so anyway.
    `row_cache_bytes` is the size of the local copies of rows in an object store, which are in the
    temporary directory (TMPDIR) of each host; None is half of its disk.
    Every `replay_interval_steps` a step is executed twice and compared bit by bit, to notice
    hardware that computes wrong bits (`train/replay.py`); it needs memory for another state. None
    replays nothing.
    """

    mesh: MeshConfig = MeshConfig()
    num_microbatches: int = 1
    remat_policy: str = "full"
    attention_kernel: str = "auto"
    attention_block_q: int | None = None
    attention_block_kv: int | None = None
    unroll_layers: bool = False
    loss_vocab_block: int | None = None
    loss_token_block: int | None = None
    gradient_reduction_dtype: str = "float32"
    deterministic: bool = False
    prefetch_batches: int = 8
    reader_threads: int = 4
    row_cache_bytes: int | None = None
    replay_interval_steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """`wandb_project` needs the `wandb` package; JSONL is always written."""

    interval_steps: int = 10
    write_tensorboard: bool = True
    wandb_project: str | None = None


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """The assumptions from which `plan` computes chip-hours and cost.

    `mfu` is the share of the chips' peak that training is expected to reach (`hardware/chips.py`).
    The price may be in any currency.
    """

    mfu: float = 0.4
    price_per_chip_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """One experiment file. `variants` maps a name to its last phase; `baseline` is one of them.

    `replicates` are trained of every variant, or only the first `num_replicates[variant]`. Without
    any there is one, both of whose seeds are `seed`. `contrasts` are what the study is to decide.
    `pareto` are the two metrics that the report draws against each other, named as the metrics of
    contrasts are; without them, the first two categories of `averages`.
    """

    name: str
    model: ModelConfig
    data: DataConfig
    training: TrainingConfig
    phases: Mapping[str, PhaseConfig]
    variants: Mapping[str, str]
    baseline: str | None = None
    seed: int = 0
    replicates: tuple[ReplicateConfig, ...] = ()
    num_replicates: Mapping[str, int] = field(default_factory=_empty)
    optimizer: OptimizerConfig = OptimizerConfig()
    execution: ExecutionConfig = ExecutionConfig()
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    evals: Mapping[str, EvaluatorConfig] = field(default_factory=_empty)
    averages: AveragesConfig = field(default_factory=AveragesConfig)
    contrasts: Mapping[str, ContrastConfig] = field(default_factory=_empty)
    pareto: tuple[str, ...] = ()
    logging: LoggingConfig = LoggingConfig()
    cost: CostConfig = CostConfig()
