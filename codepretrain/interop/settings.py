"""`config.model` as Cohere's `config.json`, and back.

All fields of `ModelConfig` are in it except `compute_dtype`, which is the reader's choice.
"""

import dataclasses
from typing import Any

from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError, quoted
from codepretrain.files.storage import StrPath
from codepretrain.interop.json_fields import JsonFields

# The defaults of Cohere's class. The rotary base is not among them: its default changed between
# releases, so a file without it is ambiguous.
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
# Options of Cohere's model that ours lacks: setting → the only supported value.
_FIXED = {"hidden_act": "silu", "attention_bias": False, "model_type": "cohere"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Text and id of the tokens around a document; pad is None if no token is reserved for it."""

    bos: tuple[str, int]
    eos: tuple[str, int]
    pad: tuple[str, int] | None


def to_cohere(
    config: ModelConfig, *, tokens: SpecialTokens, max_seq_len: int, dtype: str
) -> dict[str, Any]:
    """Returns `config.json` for `transformers`' CohereForCausalLM.

    `head_dim` is always written: `transformers` reads it, though Cohere's own models have D/N.
    The rotary base and the dtype are written twice: for releases before and after version 5.

    Raises:
      UserError: a setting that Cohere's model does not support.
    """
    known = {*_FIELDS, "num_kv_heads", "head_dim", "rope_base", "compute_dtype"}
    for field in dataclasses.fields(config):
        if field.name not in known and getattr(config, field.name) != field.default:
            raise UserError(
                f"config.model.{field.name} = {getattr(config, field.name)!r} is not supported by "
                "transformers' Cohere model, so this model cannot be exported"
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


def check_settings(folder: StrPath, config: ModelConfig) -> None:
    """Checks that the model in `folder` has the settings of `config.model`.

    Raises:
      UserError: it is another kind of model, or a setting differs; lists the flags that would fit.
    """
    found = from_cohere(folder)
    wrong = {k: v for k, v in found.items() if getattr(config, k) != v}
    if wrong:
        listing = "; ".join(
            f"{k} is {v} there and {getattr(config, k)} here" for k, v in wrong.items()
        )
        flags = " ".join(f"--config.model.{k}={v}" for k, v in wrong.items())
        raise UserError(
            f"the model in {folder} does not match config.model: {listing}. To match it, add "
            f"{flags}"
        )


def from_cohere(folder: StrPath) -> dict[str, Any]:
    """Returns the fields of `ModelConfig` (but `compute_dtype`) of the model in `folder`.

    Raises:
      UserError: `config.json` is missing or damaged, or its model is not supported.
    """
    file = JsonFields.read(f"{folder}/config.json")
    for name, value in _FIXED.items():
        found = file.values.get(name, None if name == "model_type" else value)
        if found != value or isinstance(found, bool) != isinstance(value, bool):
            raise UserError(
                f"{file.path}: {name} is {quoted(found)}; only models with {name} = {value!r} are "
                "supported"
            )
    heads = file.whole("num_attention_heads")
    width = file.whole("hidden_size")
    if not file.is_set("head_dim") and width % heads:
        file.fail("hidden_size", f"a multiple of num_attention_heads, {heads}", width)
    return {
        "vocab_size": file.whole("vocab_size"),
        "d_model": width,
        "num_layers": file.whole("num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": file.whole("num_key_value_heads")
        if file.is_set("num_key_value_heads")
        else heads,
        "head_dim": file.whole("head_dim") if file.is_set("head_dim") else width // heads,
        "d_ff": file.whole("intermediate_size"),
        "rope_base": _rope_base(file),
        "norm_epsilon": file.number("layer_norm_eps", default=_DEFAULTS["layer_norm_eps"]),
        "logit_scale": file.number("logit_scale", default=_DEFAULTS["logit_scale"]),
        "tie_embeddings": file.flag(
            "tie_word_embeddings", default=_DEFAULTS["tie_word_embeddings"]
        ),
        "use_qk_norm": file.flag("use_qk_norm", default=_DEFAULTS["use_qk_norm"]),
    }


def _rope_base(file: JsonFields) -> float:
    name = next((n for n in ("rope_parameters", "rope_scaling") if file.is_set(n)), None)
    rope = file.object(name) if name else JsonFields(file.path, {})
    kind = rope.text("rope_type", default=rope.text("type", default="default"))
    if kind != "default" or rope.number("partial_rotary_factor", default=1.0) != 1.0:
        raise UserError(
            f"{file.path}: the rotary embedding is of type {quoted(kind)}; only the default is "
            "supported"
        )
    return (rope if rope.is_set("rope_theta") else file).number("rope_theta")
