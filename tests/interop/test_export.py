"""The exported folder: its files, and that its numbers mean there what they mean here."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError
from codepretrain.interop.export import ExportOptions
from codepretrain.interop.settings import SpecialTokens, to_cohere
from codepretrain.interop.tensors import nested
from codepretrain.interop.tokenizer_files import ids_digest, special_tokens, write_tokenizer
from codepretrain.model.transformer import bind


def cohere_logits(folder: Path, ids: list[int]) -> np.ndarray:
    """Cohere's forward pass of one text [T, V], in float64 numpy, from the folder alone.

    Written after transformers' models/cohere, as an implementation that shares nothing with ours.
    """
    config = json.loads((folder / "config.json").read_text())
    W = {
        k: v.astype(np.float64)
        for f in folder.glob("*.safetensors")
        for k, v in load_file(f).items()
    }
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    H, T = config["head_dim"], len(ids)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        return W[name] * x / np.sqrt((x**2).mean(-1, keepdims=True) + config["layer_norm_eps"])

    frequency = config["rope_theta"] ** (-np.arange(0, H, 2) / H)
    angle = np.repeat(np.arange(T)[:, None] * frequency, 2, axis=-1)[:, None]

    def rotate(x: np.ndarray) -> np.ndarray:
        turned = np.stack([-x[..., 1::2], x[..., ::2]], -1).reshape(x.shape)
        return x * np.cos(angle) + turned * np.sin(angle)

    x = W["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        h = norm(x, at + "input_layernorm.weight")
        q, k, v = ((h @ W[f"{at}self_attn.{n}_proj.weight"].T).reshape(T, -1, H) for n in "qkv")
        if config["use_qk_norm"]:
            q, k = norm(q, at + "self_attn.q_norm.weight"), norm(k, at + "self_attn.k_norm.weight")
        q = rotate(q)
        k, v = (np.repeat(a, heads // kv_heads, axis=1) for a in (rotate(k), v))
        scores = np.einsum("tnh,snh->nts", q, k) / np.sqrt(H)
        weights = np.exp(np.where(np.tri(T, dtype=bool), scores, -np.inf))
        weights /= weights.sum(-1, keepdims=True)
        attended = np.einsum("nts,snh->tnh", weights, v).reshape(T, -1)
        gate, up = (h @ W[f"{at}mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        mlp = (gate / (1 + np.exp(-gate)) * up) @ W[at + "mlp.down_proj.weight"].T
        x = x + attended @ W[at + "self_attn.o_proj.weight"].T + mlp
    tied = config["tie_word_embeddings"]
    head = W["model.embed_tokens.weight" if tied else "lm_head.weight"]
    return config["logit_scale"] * norm(x, "model.norm.weight") @ head.T


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": True, "use_qk_norm": False, "num_kv_heads": 4, "head_dim": 8},
        {"tie_embeddings": True, "num_kv_heads": 1, "rope_base": 500_000.0},
    ],
)
def test_the_exported_weights_give_our_logits(
    tiny: Any, exported: Any, changes: dict[str, Any]
) -> None:
    config = tiny(**changes)
    folder, leaves = exported(config)
    ids = np.random.default_rng(1).integers(0, config.vocab_size, 13)
    model = bind(config, nested(leaves), remat_policy="none", attention_kernel="reference")
    positions = jnp.arange(13, dtype=jnp.int32)[None]
    hidden = model(
        jnp.array(ids[None], jnp.int32), positions=positions, segment_ids=jnp.ones_like(positions)
    )
    ours = model.logits(hidden)[0]
    np.testing.assert_allclose(ours, cohere_logits(folder, list(ids)), rtol=2e-4, atol=2e-4)


def test_config_and_tokenizer_files(exported: Any) -> None:
    folder, _ = exported()
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "codepretrain.json",
        "files.json",
    }
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["CohereForCausalLM"]
    assert config["rope_parameters"] == {"rope_type": "default", "rope_theta": 1234.5}
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)
    assert (config["head_dim"], config["layer_norm_eps"]) == (6, 1e-6)
    assert not config["tie_word_embeddings"]
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert tokenizer["post_processor"]["single"] == [
        {"SpecialToken": {"id": "<bos>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert (settings["bos_token"], settings["pad_token"]) == ("<bos>", "<pad>")
    assert settings["model_max_length"] == 64
    provenance = json.loads((folder / "codepretrain.json").read_text())
    assert provenance["study"] == "tiny"
    assert len(provenance["weights_sha256"]) == 64


def test_shards_hold_every_tensor_once_and_stay_below_the_limit(exported: Any) -> None:
    whole, _ = exported()
    cut, _ = exported(options=ExportOptions(max_shard_bytes=20_000), name="cut")
    index = json.loads((cut / "model.safetensors.index.json").read_text())
    shards = {path.name: load_file(path) for path in cut.glob("*.safetensors")}
    assert len(shards) > 3
    together = {name: value for shard in shards.values() for name, value in shard.items()}
    expected = load_file(whole / "model.safetensors")
    assert index["weight_map"] == {n: f for f, shard in shards.items() for n in shard}
    assert index["metadata"]["total_size"] == sum(v.nbytes for v in expected.values())
    assert together.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(together[name], value)
    for shard in shards.values():
        assert len(shard) == 1 or sum(v.nbytes for v in shard.values()) <= 20_000
    first, again = (f / "codepretrain.json" for f in (whole, cut))
    assert first.read_text() == again.read_text()


def test_the_same_checkpoint_gives_the_same_bytes(exported: Any) -> None:
    first, _ = exported()
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    for path in first.iterdir():
        path.unlink()
    again, _ = exported()
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files


def test_mistakes(tmp_path: Path, exported: Any) -> None:
    exported()
    with pytest.raises(UserError, match="exists already"):
        exported()
    with pytest.raises(UserError, match="--max-shard-bytes: expected a positive number, got 0"):
        exported(options=ExportOptions(max_shard_bytes=0), name="other")
    (tmp_path / "other-run" / "7" / "state" / "_METADATA").write_text("{}")
    with pytest.raises(UserError, match="damaged checkpoint"):
        exported(name="other")
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*partial*"))


def test_a_setting_that_cohere_has_no_word_for(tiny: Any) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wider(ModelConfig):
        num_experts: int = 1

    tokens = SpecialTokens(bos=("<bos>", 1), eos=("<eos>", 2), pad=None)
    values = dataclasses.asdict(tiny())
    config = to_cohere(Wider(**values), tokens=tokens, max_seq_len=8, dtype="float32")
    assert config["pad_token_id"] is None
    with pytest.raises(UserError, match=r"config\.model\.num_experts = 2 is not supported"):
        to_cohere(Wider(**values, num_experts=2), tokens=tokens, max_seq_len=8, dtype="float32")


def test_a_post_processor_that_was_there_is_kept(tmp_path: Path, tokenizer: Path) -> None:
    value = json.loads(tokenizer.read_text())
    trims = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    value["post_processor"] = trims
    value["padding"] = {"strategy": {"Fixed": 9}}
    tokenizer.write_text(json.dumps(value))
    tokens = special_tokens(tokenizer, bos="<bos>", eos="<eos>")
    write_tokenizer(tmp_path, tokenizer, tokens=tokens, max_seq_len=8)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    assert written["padding"] is None
    first, second = written["post_processor"]["processors"]
    assert (first, second["type"]) == (trims, "TemplateProcessing")
    with pytest.raises(UserError, match="has no token '<s>'"):
        special_tokens(tokenizer, bos="<s>", eos="<eos>")


def test_what_decides_the_ids_of_a_text(tmp_path: Path, tokenizer: Path) -> None:
    value = json.loads(tokenizer.read_text())
    same = {**value, "post_processor": {"type": "x"}, "padding": {}}
    same["model"] = {**value["model"], "merges": ["a b"]}
    other = {**value, "model": {**value["model"], "merges": []}}
    paths = [tmp_path / "same.json", tmp_path / "other.json"]
    for path, content in zip(paths, (same, other), strict=True):
        path.write_text(json.dumps(content))
    assert ids_digest(paths[0]) == ids_digest(tokenizer)
    assert ids_digest(paths[1]) != ids_digest(tokenizer)
