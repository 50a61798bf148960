import math

import jax
import pytest

from codepretrain.config.schema import ModelConfig
from codepretrain.model.size import (
    flops_per_token,
    forward_flops_per_token,
    num_parameters,
    num_parameters_non_embedding,
)
from codepretrain.model.transformer import abstract_params


def shape(d_model, num_layers, d_ff, num_heads):
    return ModelConfig(
        vocab_size=256_000,
        d_model=d_model,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=128,
        d_ff=d_ff,
    )


M470 = shape(1024, 16, 2816, 8)
B2_8 = shape(2560, 26, 7168, 20)


def test_the_studys_models():
    assert num_parameters(M470) == 467_682_304
    assert num_parameters(M470) - num_parameters_non_embedding(M470) == 256_000 * 1024
    assert round(num_parameters(B2_8) / 1e9, 2) == 2.77


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_kv_heads": 4},
        {"use_qk_norm": True},
        {"tie_embeddings": False, "use_qk_norm": True, "num_kv_heads": 1},
    ],
)
def test_counts_what_the_model_holds(tiny, changes):
    config = tiny(**changes)
    params = abstract_params(config)
    assert num_parameters(config) == sum(math.prod(p.shape) for p in jax.tree.leaves(params))
    params.pop("embedding")
    params.pop("unembedding", None)
    assert num_parameters_non_embedding(config) == sum(
        math.prod(p.shape) for p in jax.tree.leaves(params)
    )


def test_flops_by_hand():
    """D 2, one layer, 2 heads over 1 of dim 4, F 3, V 5, T 6."""
    config = ModelConfig(
        vocab_size=5, d_model=2, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=4, d_ff=3
    )
    forward = forward_flops_per_token(config, 6)
    # query 2·8, key 2·4, value 2·4, output 8·2, gate, up and down 2·3 each: 66 multiply-adds.
    assert forward.matrices == 2 * 66
    # Scores: 8 multiply-adds for each of 6 keys, of which half are masked; values the same.
    assert forward.attention == 2 * (8 * 6 // 2 + 8 * 6 // 2)
    assert forward.output_head == 2 * 10
    assert flops_per_token(config, 6) == 3 * (132 + 96 + 20)


def test_flops_of_the_studys_models():
    """Six per matrix parameter, the tied embedding among them, plus attention."""
    per_token = flops_per_token(M470, 8192)
    scales = 17 * 1024
    assert per_token == 6 * (467_682_304 - scales) + 6 * 16 * 1024 * 8192


def test_what_the_compiler_counts(tiny):
    """XLA's own count of a forward pass without the loop over layers is a little above ours."""
    from codepretrain.model.transformer import bind

    config = tiny(num_layers=1, d_model=256, head_dim=64, d_ff=512, vocab_size=512)
    T = 128

    def logits(params, inputs, segment_ids):
        model = bind(config, params, remat_policy="none", attention_kernel="reference")
        hidden = model(inputs, positions=inputs, segment_ids=segment_ids)
        return model.logits(hidden)

    ids = jax.ShapeDtypeStruct((1, T), "int32")
    analysis = jax.jit(logits).lower(abstract_params(config), ids, ids).compile().cost_analysis()
    forward = forward_flops_per_token(config, T)
    # The reference kernel computes the masked half of the scores too.
    ours = forward.total + forward.attention
    assert 1.0 < analysis["flops"] / (T * ours) < 1.1
