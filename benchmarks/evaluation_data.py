"""The model and the texts that `evaluation.py` and its peer measure with.

The tokenizer has a word per id, `w3`, `w4`, …, so the length of a text in tokens is exact.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from train_step import model_config

from codepretrain.config.schema import ModelConfig
from codepretrain.interop.settings import SpecialTokens, to_cohere
from codepretrain.interop.tensor_files import plan_shards, write_tensors
from codepretrain.interop.tensors import to_tensors
from codepretrain.interop.tokenizer_files import write_tokenizer
from codepretrain.model.transformer import init_params
from codepretrain.rows.vocabulary import Vocabulary

MAX_SEQ_LEN = 1024
NUM_NEW_TOKENS = 128
NUM_FORCED = 8  # tokens of each completion that both score
_PAD, _BOS, _EOS = ("<pad>", 0), ("<bos>", 1), ("<eos>", 2)
_SPECIALS = (_PAD, _BOS, _EOS)


def benchmark_model(setting: dict) -> ModelConfig:
    """Returns the named model in the dtype of the setting, or in its own."""
    config = model_config(setting["size"], layers=None, vocabulary=None)
    return dataclasses.replace(config, compute_dtype=setting["dtype"] or config.compute_dtype)


def write_model(folder: Path, config: ModelConfig) -> None:
    """Writes random bfloat16 weights and a tokenizer of numbered words for `transformers`."""
    jax.config.update("jax_platforms", "cpu")  # the device is for the measurements
    tokens = SpecialTokens(bos=_BOS, eos=_EOS, pad=_PAD)
    settings = to_cohere(config, tokens=tokens, max_seq_len=MAX_SEQ_LEN, dtype="bfloat16")
    (folder / "config.json").write_text(json.dumps(settings))
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    leaves = traverse_util.flatten_dict(params, sep="/")
    tensors = {
        name: value
        for leaf, array in leaves.items()
        for name, value in to_tensors(leaf, np.asarray(array.astype(jnp.bfloat16)))
    }
    sizes = {name: value.nbytes for name, value in tensors.items()}
    shards = plan_shards(sizes, max_bytes=10**12)
    write_tensors(folder, tensors.items(), shards=shards, total_bytes=sum(sizes.values()))
    (folder / "words.json").write_text(json.dumps(_tokenizer(config.vocab_size)))
    write_tokenizer(folder, folder / "words.json", tokens=tokens, max_seq_len=MAX_SEQ_LEN)


def _tokenizer(vocab_size: int) -> dict[str, Any]:
    """Returns the contents of a `tokenizer.json` with a word per id."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocabulary = dict(_SPECIALS)
    vocabulary |= {f"w{token}": token for token in range(len(_SPECIALS), vocab_size)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": token, "content": text, "special": True, **flags} for text, token in _SPECIALS
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": _PAD[0]},
    }


def numbered_words(vocab_size: int) -> Vocabulary:
    """Returns the text of each id."""
    texts = [b" w%d" % token for token in range(len(_SPECIALS), vocab_size)]
    return Vocabulary([b""] * len(_SPECIALS) + texts, bos=_BOS[1], eos=_EOS[1], pad=_PAD[1])


def random_texts(setting: dict, vocab_size: int) -> dict[str, Any]:
    """Returns pairs, several to a context, and prompts; and the tokens of all pairs with bos."""
    rng = np.random.default_rng(0)

    def words(count: int) -> str:
        return " ".join(f"w{token}" for token in rng.integers(len(_SPECIALS), vocab_size, count))

    longest, choices = setting["max_tokens"], setting["choices"]
    lengths = rng.integers(64, longest + 1, setting["requests"] // choices)
    pairs, num_tokens = [], 0
    for length in lengths:
        counts = rng.integers(1, 33, choices)
        context = words(length - 1 - counts.max())
        pairs += [[context, " " + words(count)] for count in counts]
        num_tokens += choices * (length - counts.max()) + counts.sum()
    lengths_of_prompts = rng.integers(32, longest // 2 + 1, setting["generations"])
    prompts = [words(length - 1) for length in lengths_of_prompts]
    return {"pairs": pairs, "prompts": prompts, "scored_tokens": int(num_tokens)}
