"""Parameter and FLOP counts from the config. Pure Python: `plan` needs no accelerator library.

D model, N query heads, K key-value heads, H head dim, F hidden, V vocabulary, L layers, T tokens.
"""

from dataclasses import dataclass

from codepretrain.config.schema import ModelConfig


def num_parameters(config: ModelConfig) -> int:
    """Returns the number of parameters; a tied embedding counts once."""
    num_embeddings = 1 if config.tie_embeddings else 2
    embedding = config.vocab_size * config.d_model
    return num_parameters_non_embedding(config) + num_embeddings * embedding


def num_parameters_non_embedding(config: ModelConfig) -> int:
    """Returns the number of parameters other than the [V, D] input and output embeddings.

    A layer has the matrices (see `_matrix_parameters_per_layer`), one norm scale D and, with
    qk-norm, N·H + K·H scales; one final norm scale D.
    """
    scales = config.d_model
    if config.use_qk_norm:
        scales += (config.num_heads + config.num_kv_heads) * config.head_dim
    per_layer = _matrix_parameters_per_layer(config) + scales
    return config.num_layers * per_layer + config.d_model


def _matrix_parameters_per_layer(config: ModelConfig) -> int:
    """Returns 2·D·N·H (query, output) + 2·D·K·H (key, value) + 3·D·F (gate, up, down)."""
    attention = 2 * config.d_model * (config.num_heads + config.num_kv_heads) * config.head_dim
    return attention + 3 * config.d_model * config.d_ff


@dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """FLOPs of one token's forward pass; a multiply-add is two."""

    matrices: int
    attention: int
    output_head: int

    @property
    def total(self) -> int:
        return self.matrices + self.attention + self.output_head


def forward_flops_per_token(config: ModelConfig, seq_len: int) -> ForwardFlops:
    """Returns the FLOPs of the model's formulas, by part.

    matrices     2 · L · (2·D·N·H + 2·D·K·H + 3·D·F)
    attention    2 · L · N·H · T      scores and values: 2·N·H·T each per layer; half is masked
    output head  2 · D · V            the embedding lookup is a copy, not a product

    Norms, RoPE, softmax, SiLU and recomputation are not counted. Document boundaries are ignored:
    `seq_len` is the length of the row.
    """
    return ForwardFlops(
        matrices=2 * config.num_layers * _matrix_parameters_per_layer(config),
        attention=2 * config.num_layers * config.num_heads * config.head_dim * seq_len,
        output_head=2 * config.d_model * config.vocab_size,
    )


def flops_per_token(config: ModelConfig, seq_len: int) -> int:
    """Returns the training FLOPs of one token: 3 × forward, as the backward pass costs twice it."""
    return 3 * forward_flops_per_token(config, seq_len).total
