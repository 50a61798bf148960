"""What the devices decide."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codepretrain.config.schema import (
    DataConfig,
    ExecutionConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.train.execution import loss_blocks, step_kernel


def study(compute_dtype: str = "bfloat16", **execution: Any) -> StudyConfig:
    return StudyConfig(
        name="test",
        model=ModelConfig(
            vocab_size=5000,
            d_model=16,
            num_layers=1,
            num_heads=2,
            num_kv_heads=2,
            head_dim=8,
            d_ff=32,
            compute_dtype=compute_dtype,
        ),
        data=DataConfig(sources={}, max_seq_len=8),
        training=TrainingConfig(batch_size=8),
        execution=ExecutionConfig(**execution),
        phases={},
        variants={},
    )


def mesh_of(platform: str, compute_capability: str | None = None) -> Any:
    device = SimpleNamespace(platform=platform, compute_capability=compute_capability)
    return SimpleNamespace(devices=np.array([device]))


def test_blocks_of_the_loss() -> None:
    """A GPU sees all logits of fewer positions; what the config sets is kept."""
    assert loss_blocks(study(), mesh_of("cpu"))[:2] == (2048, 8192)
    assert loss_blocks(study(), mesh_of("tpu"))[:2] == (2048, 8192)
    assert loss_blocks(study(), mesh_of("gpu"))[:2] == (5000, 4096)
    assert loss_blocks(study(loss_vocab_block=20), mesh_of("gpu"))[:2] == (20, 4096)
    assert loss_blocks(study(loss_token_block=64), mesh_of("gpu"))[:2] == (5000, 64)


@pytest.mark.parametrize(
    ("platform", "capability", "dtype", "expected"),
    [
        ("gpu", "9.0", "bfloat16", "cudnn"),
        ("gpu", "9.0", "float32", "pallas_gpu"),
        ("gpu", "8.0", "bfloat16", "pallas_gpu"),
        ("tpu", None, "bfloat16", "splash"),
        ("cpu", None, "bfloat16", "blocked"),
    ],
)
def test_the_automatic_kernel(
    platform: str, capability: str | None, dtype: str, expected: str
) -> None:
    assert step_kernel(study(dtype), mesh_of(platform, capability)).name == expected
