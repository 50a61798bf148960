"""The exported folder: its files, and that its numbers mean there what they mean here."""

import json
from pathlib import Path
from typing import Any

import fsspec
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.interop.export import ExportOptions
from codepretrain.interop.tensors import nested
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
        "README.md",
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
    card = (folder / "README.md").read_text()
    assert card == f"# a model of {provenance['weights_sha256']}\n"


def test_the_same_checkpoint_gives_the_same_bytes(exported: Any) -> None:
    first, _ = exported()
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    for path in first.iterdir():
        path.unlink()
    again, _ = exported()
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files


def test_an_object_store_holds_the_same_files(exported: Any, tmp_path: Path) -> None:
    fsspec.filesystem("memory").store.clear()
    local, _ = exported()
    remote = storage.parse("memory://bucket/model")
    exported(name=remote, run="model")
    assert storage.names(remote) == storage.names(local)
    for name in storage.names(local):
        assert storage.read_bytes(remote / name) == storage.read_bytes(local / name)
    with pytest.raises(UserError, match="--output memory://bucket/model exists already"):
        exported(name=remote, run="model")
    fsspec.filesystem("memory").store.clear()


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
