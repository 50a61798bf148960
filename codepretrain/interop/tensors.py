"""Our parameters in the names and layouts of Cohere's files.

    ours (a layer l of it)                    theirs
    embedding                      [V, D]     model.embed_tokens.weight                   [V, D]
    unembedding                    [V, D]     lm_head.weight (none when tied)             [V, D]
    final_norm/scale               [D]        model.norm.weight                           [D]
    blocks/norm/scale              [D]        model.layers.l.input_layernorm.weight       [D]
    blocks/attention/query/kernel  [D, N, H]  model.layers.l.self_attn.q_proj.weight      [N·H, D]
    blocks/attention/key, value    [D, K, H]  …k_proj, v_proj                             [K·H, D]
    blocks/attention/output/kernel [N, H, D]  …o_proj.weight                              [D, N·H]
    blocks/attention/query_norm    [N, H]     …q_norm.weight, k_norm [K, H]               [N, H]
    blocks/mlp/gate/kernel, up     [D, F]     model.layers.l.mlp.gate_proj.weight, up     [F, D]
    blocks/mlp/down/kernel         [F, D]     …down_proj.weight                           [D, F]

Cohere's matrices have outputs first, with the heads concatenated. The dims of a head have the same
order as here, since both rotate neighboring dims as pairs (see `model/rope.py`).

Source: transformers, models/cohere/modeling_cohere.py.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from codepretrain.config.schema import ModelConfig
from codepretrain.model.transformer import Params, abstract_params

_OUTSIDE_BLOCKS = {
    "embedding": "model.embed_tokens.weight",
    "unembedding": "lm_head.weight",
    "final_norm/scale": "model.norm.weight",
}
_IN_BLOCKS = {
    "norm/scale": "input_layernorm.weight",
    "attention/query/kernel": "self_attn.q_proj.weight",
    "attention/key/kernel": "self_attn.k_proj.weight",
    "attention/value/kernel": "self_attn.v_proj.weight",
    "attention/output/kernel": "self_attn.o_proj.weight",
    "attention/query_norm/scale": "self_attn.q_norm.weight",
    "attention/key_norm/scale": "self_attn.k_norm.weight",
    "mlp/gate/kernel": "mlp.gate_proj.weight",
    "mlp/up/kernel": "mlp.up_proj.weight",
    "mlp/down/kernel": "mlp.down_proj.weight",
}
_TWO_INPUT_DIMS = "attention/output/kernel"  # every other kernel has one


def leaf_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by its path, `blocks/mlp/gate/kernel`, in path order."""
    flat = traverse_util.flatten_dict(abstract_params(config), sep="/")
    return {path: flat[path].shape for path in sorted(flat)}


def tensor_shapes(leaf: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Returns name and shape of the tensors that hold a parameter: one per layer, or one."""
    if leaf in _OUTSIDE_BLOCKS:
        return {_OUTSIDE_BLOCKS[leaf]: shape}
    one = to_tensor(leaf, np.broadcast_to(np.float32(0), shape[1:])).shape
    return dict.fromkeys(_layer_names(leaf, shape[0]), one)


def to_tensors(leaf: str, value: np.ndarray) -> Iterable[tuple[str, np.ndarray]]:
    """Yields name and value of a parameter's tensors, layer by layer; views where possible."""
    if leaf in _OUTSIDE_BLOCKS:
        yield _OUTSIDE_BLOCKS[leaf], value
        return
    for name, layer in zip(_layer_names(leaf, len(value)), value, strict=True):
        yield name, to_tensor(leaf, layer)


def to_tensor(leaf: str, layer: np.ndarray) -> np.ndarray:
    """Returns one layer's part of a parameter in Cohere's layout."""
    if not leaf.endswith("kernel"):
        return layer
    num_inputs = 2 if leaf.endswith(_TWO_INPUT_DIMS) else 1
    width = int(np.prod(layer.shape[:num_inputs]))
    return layer.reshape(width, -1).T


def from_tensor(leaf: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns one layer's part [*shape] of a parameter: the inverse of `to_tensor`."""
    return (tensor.T if leaf.endswith("kernel") else tensor).reshape(shape)


class WeightsDigest:
    """The SHA-256 of a model's parameters in float32, in path order.

    It depends only on the values, not on files, shards, layouts, or the dtype in the files.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def update(self, path: str, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
        """Adds the next parameter, in any number of parts along its first dim."""
        self._sha.update(json.dumps([path, list(shape)]).encode())
        for part in parts:
            self._sha.update(np.ascontiguousarray(part, "<f4").data)

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


def nested(leaves: Mapping[str, Any]) -> Params:
    """Returns parameters by path as the tree that the model takes."""
    return traverse_util.unflatten_dict(dict(leaves), sep="/")


def _layer_names(leaf: str, num_layers: int) -> list[str]:
    name = _IN_BLOCKS[leaf.removeprefix("blocks/")]
    return [f"model.layers.{layer}.{name}" for layer in range(num_layers)]
