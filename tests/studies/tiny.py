"""The smallest whole study: two sources, a trunk, a branch within it, and a cooldown.

Tests override the corpora: --config.data.sources.text.options.path=…
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
    CheckpointConfig,
    DataConfig,
    EvaluatorConfig,
    ExecutionConfig,
    LoggingConfig,
    ModelConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)

STEP_TOKENS = 8 * 64
PEAK = ScheduleConfig(
    shape="cosine", warmup_steps=4, peak_learning_rate=1e-2, end_learning_rate=1e-3
)


def jsonl(kind: str) -> SourceConfig:
    return SourceConfig(
        reader="jsonl", kind=kind, options={"path": f"{kind}.jsonl"}, max_epochs=1000.0
    )


def get_config() -> ConfigDict:
    return to_config_dict(
        StudyConfig(
            name="tiny",
            model=ModelConfig(
                vocab_size=512,
                d_model=32,
                num_layers=2,
                num_heads=4,
                num_kv_heads=2,
                head_dim=8,
                d_ff=64,
                compute_dtype="float32",
            ),
            data=DataConfig(
                max_seq_len=64,
                tokenizer=TokenizerConfig(vocab_size=512, training_bytes_per_source=200_000),
                validation_fraction=0.2,
                sources={"text": jsonl("text"), "code": jsonl("code")},
            ),
            training=TrainingConfig(batch_size=8),
            execution=ExecutionConfig(remat_policy="none", loss_vocab_block=512),
            checkpoint=CheckpointConfig(temporary_interval_s=600.0),
            logging=LoggingConfig(interval_steps=5, write_tensorboard=False),
            evals={
                "validation": EvaluatorConfig(
                    kind="validation_loss", interval_steps=20, num_examples=16
                ),
            },
            phases={
                "trunk": PhaseConfig(
                    tokens=40 * STEP_TOKENS, mixture={"text": 0.7, "code": 0.3}, schedule=PEAK
                ),
                "branch": PhaseConfig(
                    parent="trunk",
                    parent_tokens=20 * STEP_TOKENS,
                    tokens=10 * STEP_TOKENS,
                    mixture={"code": 1.0},
                    schedule=PEAK,
                    carry_optimizer=False,
                ),
                "cooldown": PhaseConfig(
                    parent="trunk",
                    tokens=10 * STEP_TOKENS,
                    mixture={"text": 0.5, "code": 0.5},
                    schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
                ),
            },
            variants={"branched": "branch", "annealed": "cooldown"},
            baseline="annealed",
        )
    )
