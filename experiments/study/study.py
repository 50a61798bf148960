"""A study of phases, with the data, optimizer and evaluations of all. No study of its own.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from collections.abc import Mapping

from codepretrain.config.schema import (
    CheckpointConfig,
    ContrastConfig,
    ExecutionConfig,
    ModelConfig,
    OptimizerConfig,
    PhaseConfig,
    ReplicateConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.model.presets import preset
from experiments.study.evaluations import AVERAGES, EVALS
from experiments.study.sources import DATA

MODEL_470M = preset("470m")  # inferred: see model/presets.py

# ours: the paper trained each model once. `--config.replicates=1` does so too.
REPLICATES = tuple(
    ReplicateConfig(initialization_seed=seed, data_order_seed=seed) for seed in range(3)
)


def make_study(
    name: str,
    *,
    phases: Mapping[str, PhaseConfig],
    variants: Mapping[str, str],
    baseline: str,
    contrasts: Mapping[str, ContrastConfig],
    model: ModelConfig = MODEL_470M,
    replicates: tuple[ReplicateConfig, ...] = REPLICATES,
    num_replicates: Mapping[str, int] | None = None,
) -> StudyConfig:
    """Returns the study; what is not an argument is the same in all experiments."""
    return StudyConfig(
        name=name,
        model=model,
        data=DATA,
        training=TrainingConfig(batch_size=512),  # paper
        optimizer=OptimizerConfig(  # paper: AdamW; its values are ours
            beta1=0.9, beta2=0.95, weight_decay=0.1, max_gradient_norm=1.0
        ),
        execution=ExecutionConfig(loss_vocab_block=8192),
        checkpoint=CheckpointConfig(permanent_interval_steps=5000),
        evals=EVALS,
        averages=AVERAGES,
        phases=dict(phases),
        variants=dict(variants),
        baseline=baseline,
        replicates=replicates,
        num_replicates=dict(num_replicates or {}),
        contrasts=dict(contrasts),
        pareto=("code", "reasoning"),  # ours: the trade-off that the paper discusses
    )
