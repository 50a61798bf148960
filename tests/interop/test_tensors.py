"""Parameters in Cohere's layout: shapes by hand, a round trip, and the hash of the values."""

from typing import Any

import numpy as np
import pytest

from codepretrain.interop.tensors import (
    WeightsDigest,
    from_tensor,
    leaf_shapes,
    nested,
    tensor_shapes,
    to_tensor,
    to_tensors,
)


def test_shapes_by_hand(tiny: Any) -> None:
    shapes = leaf_shapes(tiny())  # D 32, N 4, K 2, H 6, F 48, L 3, V 50
    assert shapes["blocks/attention/query/kernel"] == (3, 32, 4, 6)
    named = {n: s for leaf, shape in shapes.items() for n, s in tensor_shapes(leaf, shape).items()}
    assert named["model.embed_tokens.weight"] == (50, 32)
    assert named["model.layers.2.self_attn.q_proj.weight"] == (24, 32)
    assert named["model.layers.0.self_attn.k_proj.weight"] == (12, 32)
    assert named["model.layers.1.self_attn.o_proj.weight"] == (32, 24)
    assert named["model.layers.1.mlp.down_proj.weight"] == (32, 48)
    assert named["model.layers.0.self_attn.q_norm.weight"] == (4, 6)


def test_heads_are_concatenated_in_the_outputs() -> None:
    layer = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # D 2, N 3, H 4
    tensor = to_tensor("blocks/attention/query/kernel", layer)
    assert tensor.shape == (12, 2)
    np.testing.assert_array_equal(tensor[4:8, 1], layer[1, 1])  # head 1, input 1
    output = to_tensor("blocks/attention/output/kernel", layer)  # N 2, H 3, D 4
    assert output.shape == (4, 6)
    np.testing.assert_array_equal(output[:, 3], layer[1, 0])


def test_every_layer_comes_back(tiny: Any) -> None:
    rng = np.random.default_rng(0)
    for leaf, shape in leaf_shapes(tiny()).items():
        value = rng.normal(size=shape).astype(np.float32)
        tensors = [tensor for _, tensor in to_tensors(leaf, value)]
        if leaf.startswith("blocks/"):
            back = np.stack([from_tensor(leaf, tensor, shape[1:]) for tensor in tensors])
        else:
            [back] = tensors
        np.testing.assert_array_equal(back, value)


def test_the_digest_depends_on_values_alone() -> None:
    value = np.arange(6, dtype=np.float32).reshape(3, 2)

    def digest(*parts: np.ndarray, name: str = "a") -> str:
        result = WeightsDigest()
        result.update(name, (3, 2), parts)
        return result.hexdigest()

    assert digest(value) == digest(value[:1], value[1:]) == digest(value.astype(np.float16))
    assert len({digest(value), digest(value + 1), digest(value, name="b")}) == 3


def test_nested() -> None:
    assert nested({"a/b": 1, "c": 2}) == {"a": {"b": 1}, "c": 2}


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_model_has_no_head(tiny: Any, tied: bool) -> None:
    assert ("unembedding" in leaf_shapes(tiny(tie_embeddings=tied))) != tied
