"""Our logits against those of `transformers`, on the CPU in float32: `make test-parity`.

Each case draws random parameters, saves them as a checkpoint, exports it, loads the folder with
`transformers`, and compares the logits of both at every real position. Needs the extra `parity`.

The errors are of two kinds, and the table tells them apart. "as loaded" is `transformers` as it
comes: its rotation's frequencies are computed in float32, ours in float64 and then rounded, so the
angles part by up to position × 1e-7 radians. "same frequencies" gives it our frequencies: what is
left is the order of float32 sums. The relative error is ‖ours - theirs‖ / ‖theirs‖.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, ModelConfig
from codepretrain.interop.export import ExportOptions, export_checkpoint
from codepretrain.interop.load import read_leaves
from codepretrain.interop.tensors import leaf_shapes, nested
from codepretrain.model.decode import Cache, decode_step, prefill
from codepretrain.model.transformer import Params, bind

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.campaign,
    # Other packages' warnings are not ours to act upon.
    pytest.mark.filterwarnings("default"),
]

SMALL = ModelConfig(
    vocab_size=512,
    d_model=64,
    num_layers=3,
    num_heads=4,
    num_kv_heads=4,
    head_dim=16,
    d_ff=160,
    logit_scale=0.0625,
    compute_dtype="float32",
)
# [lengths] of the texts of a batch; shorter ones are padded.
EVEN, ODD, PADDED, ONE, LONG = [64, 64], [37, 37], [41, 17, 1], [1], [8192]
CASES: dict[str, tuple[dict[str, Any], list[int], str]] = {
    "multi-head": ({}, EVEN, "right"),
    "grouped, 2 of 4": ({"num_kv_heads": 2}, EVEN, "right"),
    "multi-query, 1 of 4": ({"num_kv_heads": 1}, EVEN, "right"),
    "untied": ({"tie_embeddings": False}, EVEN, "right"),
    "qk-norm": ({"use_qk_norm": True}, EVEN, "right"),
    "qk-norm, grouped, untied": (
        {"use_qk_norm": True, "num_kv_heads": 2, "tie_embeddings": False},
        EVEN,
        "right",
    ),
    "N·H is not D": ({"head_dim": 24, "num_kv_heads": 2}, EVEN, "right"),
    "epsilon 1e-3, logit scale 1.7": ({"norm_epsilon": 1e-3, "logit_scale": 1.7}, EVEN, "right"),
    "rope base 1e2": ({"rope_base": 1e2}, EVEN, "right"),
    "rope base 5e5": ({"rope_base": 5e5}, EVEN, "right"),
    "rope base 8e6": ({"rope_base": 8e6}, EVEN, "right"),
    "odd length": ({"num_kv_heads": 2}, ODD, "right"),
    "one token": ({}, ONE, "right"),
    "padded on the right": ({"num_kv_heads": 2, "use_qk_norm": True}, PADDED, "right"),
    "padded on the left": ({"num_kv_heads": 2, "use_qk_norm": True}, PADDED, "left"),
    "8192 positions": ({"num_heads": 2, "num_kv_heads": 1, "head_dim": 128}, LONG, "right"),
    "8192 positions, base 5e5, qk-norm, untied": (
        {
            "num_heads": 2,
            "num_kv_heads": 1,
            "head_dim": 128,
            "rope_base": 5e5,
            "use_qk_norm": True,
            "tie_embeddings": False,
        },
        LONG,
        "right",
    ),
}
TOLERANCE = 3e-6  # relative, with the same frequencies
TOLERANCE_AS_LOADED = 1e-4
ROWS: list[str] = []


def draw(config: ModelConfig) -> Params:
    """Returns random parameters at which every part of the model matters to the logits."""
    rng = np.random.default_rng(0)

    def leaf(path: str, shape: tuple[int, ...]) -> np.ndarray:
        if path.endswith("scale"):
            return (1 + 0.3 * rng.normal(size=shape)).astype(np.float32)
        num_inputs = 2 if "output" in path else 1
        fan_in = int(np.prod(shape[1 : 1 + num_inputs]))
        spread = 1.0 if path.endswith("embedding") else 1.5 * fan_in**-0.5
        return (spread * rng.normal(size=shape)).astype(np.float32)

    return nested({path: leaf(path, shape) for path, shape in leaf_shapes(config).items()})


def export(folder: Path, config: ModelConfig, params: Params, tokenizer: Path) -> Path:
    checkpoints = Checkpoints(folder / "run", CheckpointPolicy(CheckpointConfig(), frozenset({1})))
    checkpoints.save(1, {"params": params}, ledger={}, identity={})
    checkpoints.close()
    with open_leaves(folder / "run" / "1") as leaves:
        export_checkpoint(
            leaves,
            folder / "model",
            model=config,
            max_seq_len=8192,
            tokenizer=tokenizer,
            special_names=("<bos>", "<eos>"),
            options=ExportOptions(max_shard_bytes=200_000),
            provenance={},
            card=str,
        )
    return folder / "model"


def load(folder: Path) -> Any:
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager"
    )
    assert type(model).__name__ == "CohereForCausalLM"
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def texts(lengths: list[int], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns random ids and which of them are real: each [B, T]."""
    width = max(lengths)
    places = np.arange(width)[None] if side == "right" else np.arange(width)[None, ::-1]
    real = places < np.array(lengths)[:, None]
    ids = np.random.default_rng(1).integers(3, SMALL.vocab_size, real.shape)
    return np.where(real, ids, 0), real


def our_logits(
    config: ModelConfig, params: Params, ids: np.ndarray, real: np.ndarray
) -> np.ndarray:
    @jax.jit
    def logits(params: Params, *batch: jax.Array) -> jax.Array:
        inputs, positions, segment_ids = batch
        model = bind(config, params, remat_policy="none", attention_kernel="reference")
        return model.logits(model(inputs, positions=positions, segment_ids=segment_ids))

    positions = np.where(real, np.cumsum(real, axis=1) - 1, 0)
    return np.asarray(logits(params, *(jnp.array(x, jnp.int32) for x in (ids, positions, real))))


def their_logits(model: Any, ids: np.ndarray, real: np.ndarray) -> np.ndarray:
    positions = np.where(real, np.cumsum(real, axis=1) - 1, 0)
    with torch.no_grad():
        found = model(
            torch.tensor(ids),
            attention_mask=torch.tensor(real.astype(np.int64)),
            position_ids=torch.tensor(positions),
        )
    return found.logits.numpy()


def take_our_frequencies(model: Any, config: ModelConfig) -> None:
    exact = config.rope_base ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
    model.model.rotary_emb.inv_freq = torch.tensor(exact.astype(np.float32))


def errors(ours: np.ndarray, theirs: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Returns the largest absolute error and the relative one, over real positions."""
    left, right = ours[real].astype(np.float64), theirs[real].astype(np.float64)
    distance = np.linalg.norm(left - right) / np.linalg.norm(right)
    return float(np.abs(left - right).max()), float(distance)


@pytest.fixture(scope="module", autouse=True)
def _table() -> Any:
    yield
    head = "| case | largest logit | as loaded: abs | rel | same frequencies: abs | rel |"
    print("\n" + "\n".join([head, "|---|---|---|---|---|---|", *ROWS]))
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(f"({versions}, jax {jax.__version__}, float32, CPU)")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A byte-level BPE of 512 entries: specials, bytes, and some merges."""
    from codepretrain.config.schema import TokenizerConfig
    from codepretrain.data.tokenization.tokenizer import train_tokenizer

    trained = train_tokenizer(["def f(x): return x + 1\n" * 50], TokenizerConfig(vocab_size=300))
    trained.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@pytest.mark.parametrize("case", CASES)
def test_logits_agree(case: str, tmp_path: Path, tokenizer: Path) -> None:
    changes, lengths, side = CASES[case]
    config = dataclasses.replace(SMALL, **changes)
    params = draw(config)
    model = load(export(tmp_path, config, params, tokenizer))
    ids, real = texts(lengths, side)
    ours = our_logits(config, params, ids, real)
    as_loaded = errors(ours, their_logits(model, ids, real), real)
    take_our_frequencies(model, config)
    same = errors(ours, their_logits(model, ids, real), real)
    numbers = " | ".join(f"{x:.1e}" for x in (*as_loaded, *same))
    ROWS.append(f"| {case} | {np.abs(ours[real]).max():.2f} | {numbers} |")
    assert same[1] < TOLERANCE
    assert as_loaded[1] < TOLERANCE_AS_LOADED


def test_a_model_saved_by_transformers_is_read(tmp_path: Path, tokenizer: Path) -> None:
    """Their random model, their file layout and names, in shards; our logits."""
    config = dataclasses.replace(
        SMALL, num_kv_heads=2, use_qk_norm=True, rope_base=5e5, tie_embeddings=False
    )
    settings = transformers.CohereConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_qk_norm=True,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = transformers.CohereForCausalLM(settings).eval()
    model.save_pretrained(tmp_path / "theirs", max_shard_size="200KB")
    params = nested(read_leaves(tmp_path / "theirs", config))
    ids, real = texts(ODD, "right")
    take_our_frequencies(model, config)
    _, relative = errors(
        our_logits(config, params, ids, real), their_logits(model, ids, real), real
    )
    assert relative < TOLERANCE


def test_both_write_the_same_text(tmp_path: Path, tokenizer: Path) -> None:
    """Greedy generation with both caches, from prompts of different lengths."""
    config = dataclasses.replace(SMALL, num_kv_heads=2, use_qk_norm=True)
    params = draw(config)
    model = load(export(tmp_path, config, params, tokenizer))
    ids, real = texts([9, 5], "left")
    generated = model.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(real.astype(np.int64)),
        max_new_tokens=20,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    theirs = generated[:, ids.shape[1] :].numpy()
    prompts, lengths = texts_to_the_left(ids, real)
    bound = bind(config, params, remat_policy="none", attention_kernel="reference")
    hidden, past = prefill(bound, prompts, lengths)
    cache = Cache.of(bound, past, lengths, num_steps=20)
    ours = []
    for _ in range(20):
        ours.append(jnp.argmax(bound.logits(hidden), axis=-1).astype(jnp.int32))
        hidden, cache = decode_step(bound, ours[-1], cache)
    np.testing.assert_array_equal(np.stack(ours, axis=1), theirs)


def texts_to_the_left(ids: np.ndarray, real: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Returns the prompts padded on the right, and their lengths."""
    rows = [np.concatenate([row[keep], row[~keep]]) for row, keep in zip(ids, real, strict=True)]
    return jnp.array(np.stack(rows), jnp.int32), jnp.array(real.sum(axis=1), jnp.int32)


def test_the_tokenizer_gives_our_ids(tmp_path: Path, tokenizer: Path) -> None:
    from codepretrain.config.schema import TokenizerConfig
    from codepretrain.data.tokenization.encoder import DocumentEncoder
    from codepretrain.data.tokenization.tokenizer import load_tokenizer

    folder = export(tmp_path, SMALL, draw(SMALL), tokenizer)
    settings = TokenizerConfig(vocab_size=512)
    text = "def f(x):\n    return x + 1234  # naïve ☃\n"
    [encoded] = DocumentEncoder(load_tokenizer(tokenizer, settings), settings).encode([text])
    ours = [int(token) for token in encoded]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs(text)["input_ids"] == ours[:-1]  # a text to go on with has no end
    assert theirs.decode(ours, skip_special_tokens=True) == text
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (1, 2, 0)
    batch = theirs([text, "x"], padding=True)["input_ids"]
    assert batch[1][0] == 0
    assert len({len(row) for row in batch}) == 1
    # The exported file is a tokenizer that a study may take over.
    assert load_tokenizer(folder / "tokenizer.json", settings).token_to_id("<bos>") == 1
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == 2
