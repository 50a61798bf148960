"""Our model's settings as Cohere's `config.json` says them, and back.

Every field of `ModelConfig` has its place there but `compute_dtype`, which is the reader's choice.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError

# Where config.json is silent, Cohere's class has these. A default that changed between releases
# (the base of the rotation) is not among them: a file that leaves it out cannot be read safely.
_DEFAULTS = {
    "logit_scale": 0.0625,
    "layer_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "use_qk_norm": False,
}
_FIELDS = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "norm_epsilon": "layer_norm_eps",
    "logit_scale": "logit_scale",
    "tie_embeddings": "tie_word_embeddings",
    "use_qk_norm": "use_qk_norm",
}
# What Cohere's model can do and ours cannot: setting → the only value that we can read.
_FIXED = {"hidden_act": "silu", "attention_bias": False, "model_type": "cohere"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Text and id of the tokens around a document; pad is None where no token is kept for it."""

    bos: tuple[str, int]
    eos: tuple[str, int]
    pad: tuple[str, int] | None


def to_cohere(
    config: ModelConfig, *, tokens: SpecialTokens, max_seq_len: int, dtype: str
) -> dict[str, Any]:
    """Returns `config.json` for `transformers`' CohereForCausalLM.

    A head dim other than D/N stands in `head_dim`, which `transformers` reads though Cohere's own
    models never need it. Base of the rotation and dtype stand twice: as releases before and after
    version 5 look for them.

    Raises:
      UserError: a setting that Cohere's model has no word for.
    """
    known = {*_FIELDS, "num_kv_heads", "head_dim", "rope_base", "compute_dtype"}
    for field in dataclasses.fields(config):
        if field.name not in known and getattr(config, field.name) != field.default:
            raise UserError(
                f"config.model.{field.name} = {getattr(config, field.name)!r} cannot be said in "
                "the config of a transformers Cohere model, so this model cannot be exported"
            )
    return {
        "architectures": ["CohereForCausalLM"],
        **_FIXED,
        **{theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()},
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "max_position_embeddings": max_seq_len,
        "attention_dropout": 0.0,
        "bos_token_id": tokens.bos[1],
        "eos_token_id": tokens.eos[1],
        "pad_token_id": tokens.pad[1] if tokens.pad else None,
        "use_cache": True,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def check_settings(folder: Path, config: ModelConfig) -> None:
    """Checks that the model in `folder` is the study's, setting by setting.

    Raises:
      UserError: it is of another kind, or differs; says with which flags the study would fit.
    """
    found = from_cohere(folder)
    wrong = {k: v for k, v in found.items() if getattr(config, k) != v}
    if wrong:
        listing = "; ".join(
            f"{k} is {v} there and {getattr(config, k)} here" for k, v in wrong.items()
        )
        flags = " ".join(f"--config.model.{k}={v}" for k, v in wrong.items())
        raise UserError(
            f"the model in {folder} is not that of config.model: {listing}. It would fit with "
            f"{flags}"
        )


def from_cohere(folder: Path) -> dict[str, Any]:
    """Returns the fields of `ModelConfig` (but `compute_dtype`) of the model in `folder`.

    Raises:
      UserError: no `config.json`, damaged, or of a model that ours cannot be.
    """
    path = folder / "config.json"
    values = {**_DEFAULTS, **read_json(path)}
    for key, value in _FIXED.items():
        if values.get(key, value) != value or (key == "model_type" and key not in values):
            raise UserError(
                f"{path}: {key} is {values.get(key)!r}; only models with {key} = {value!r} can be "
                "read"
            )
    try:
        fields = {ours: values[theirs] for ours, theirs in _FIELDS.items()}
        heads = values["num_attention_heads"]
        fields["num_kv_heads"] = values.get("num_key_value_heads") or heads
        fields["head_dim"] = values.get("head_dim") or values["hidden_size"] // heads
    except KeyError as error:
        raise UserError(f"{path} does not say {error.args[0]}") from error
    fields["rope_base"] = _rope_base(path, values)
    return fields


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file. Raises UserError: it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent} holds no {path.name}") from None
    except ValueError as error:
        raise UserError(f"damaged {path}: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"damaged {path}: expected a JSON object")
    return value


def _rope_base(path: Path, values: Mapping[str, Any]) -> float:
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default" or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError(f"{path}: the rotation is of type {kind!r}; only the default can be read")
    base = rope.get("rope_theta", values.get("rope_theta"))
    if base is None:
        raise UserError(f"{path} does not say rope_theta, the base of the rotation")
    return float(base)
