"""What a study's execution settings leave open, decided by the devices of the mesh."""

from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import AttentionKernel, Target, choose_kernel
from codepretrain.train.loss.layout import Blocks


def step_kernel(config: StudyConfig, mesh: Mesh) -> AttentionKernel:
    """Returns the configured attention kernel for the devices of the mesh.

    Raises:
      UserError: no kernel has this name, or it does not run on these devices or in these blocks.
    """
    execution = config.execution
    return choose_kernel(
        execution.attention_kernel,
        Target.of(mesh.devices.flat[0], config.model.compute_dtype),
        block_q=execution.attention_block_q,
        block_kv=execution.attention_block_kv,
    )


def check_replay(config: StudyConfig, mesh: Mesh) -> None:
    """Raises UserError if two executions of a step may differ on devices without a fault."""
    execution, platform = config.execution, mesh.devices.flat[0].platform
    replays = execution.replay_interval_steps is not None
    if replays and platform == "gpu" and not execution.deterministic:
        raise UserError(
            "config.execution.replay_interval_steps: on GPUs two executions of a step are equal "
            "only with config.execution.deterministic=true: set it, or set "
            "replay_interval_steps to null"
        )


def loss_blocks(config: StudyConfig, mesh: Mesh) -> Blocks:
    """Returns the loss's block sizes and reduction on the mesh."""
    execution = config.execution
    # A GPU has the memory for all logits of a block of positions, and computes them only once then.
    is_gpu = mesh.devices.flat[0].platform == "gpu"
    size, tokens = (config.model.vocab_size, 4096) if is_gpu else (2048, 8192)
    return Blocks(
        size=execution.loss_vocab_block or size,
        tokens=execution.loss_token_block or tokens,
        mesh=mesh,
        reduction_dtype=execution.gradient_reduction_dtype,
    )
