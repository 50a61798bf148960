"""The model's settings as Cohere's config.json, and back."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError
from codepretrain.interop.load import import_model
from codepretrain.interop.settings import SpecialTokens, from_cohere, to_cohere

TOKENS = SpecialTokens(bos=("<bos>", 1), eos=("<eos>", 2), pad=None)


@pytest.mark.parametrize("changes", [{}, {"tie_embeddings": True, "num_kv_heads": 4}])
def test_settings_come_back(tiny: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = tiny(**changes)
    written = to_cohere(config, tokens=TOKENS, max_seq_len=8, dtype="float32")
    (tmp_path / "config.json").write_text(json.dumps(written))
    ours = dataclasses.asdict(config)
    del ours["compute_dtype"]
    assert from_cohere(tmp_path) == ours


def test_defaults_of_coheres_class(tmp_path: Path) -> None:
    needed = {
        "model_type": "cohere",
        "vocab_size": 8,
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "intermediate_size": 5,
        "rope_theta": 10_000,
        "rope_scaling": None,
    }
    (tmp_path / "config.json").write_text(json.dumps(needed))
    found = from_cohere(tmp_path)
    assert (found["num_kv_heads"], found["head_dim"], found["rope_base"]) == (3, 4, 10_000.0)
    assert (found["logit_scale"], found["norm_epsilon"]) == (0.0625, 1e-5)
    assert (found["tie_embeddings"], found["use_qk_norm"]) == (True, False)


def test_a_setting_that_cohere_lacks(tiny: Any) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wider(ModelConfig):
        num_experts: int = 1

    values = dataclasses.asdict(tiny())
    config = to_cohere(Wider(**values), tokens=TOKENS, max_seq_len=8, dtype="float32")
    assert config["pad_token_id"] is None
    with pytest.raises(UserError, match=r"config\.model\.num_experts = 2 is not supported"):
        to_cohere(Wider(**values, num_experts=2), tokens=TOKENS, max_seq_len=8, dtype="float32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope_parameters": {"rope_theta": 5e5}}, "rope_base is 500000.0 there and 1234.5 here"),
        ({"vocab_size": 51}, "To match it, add --config.model.vocab_size=51$"),
        ({"model_type": "llama"}, "model_type is 'llama'; only models with model_type = 'cohere'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rotary embedding is of type 'yarn'"),
        (
            {"rope_parameters": None, "rope_theta": None},
            "rope_theta: expected a positive number, found null",
        ),
        ({"num_key_value_heads": None}, "num_kv_heads is 4 there and 2 here"),
    ],
)
def test_settings_that_do_not_fit(
    tiny: Any, exported: Any, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    folder, _ = exported()
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    with pytest.raises(UserError, match=message):
        import_model(folder, tmp_path / "imported", tiny())
