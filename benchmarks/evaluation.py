"""Speed and agreement of evaluation: our language model beside lm-evaluation-harness's `hf` model.

    python benchmarks/evaluation.py                                    the demo's model
    python benchmarks/evaluation.py --size 470m --batch-size 32 64     on a GPU
    python benchmarks/evaluation.py --size 470m --dtype float32 --kernel reference --batch-size 8

Needs lm_eval, dill, torch, transformers, accelerate and tokenizers. A model with random bfloat16
weights is written as a `transformers` folder, which both read. Both get the same texts: pairs to
score, of 64 to 1,024 tokens with continuations of 1 to 32, and prompts of 32 to 512 tokens with
128 greedy tokens each. Each measurement has a process of its own. `first` is the first pass over
the texts, compilation included; `warm` is the second pass over the same texts. Both include
tokenization and decoding, neither includes loading.

Random weights give logits with small margins. In bfloat16, generated texts therefore diverge after
some tokens, and `--dtype float32` is the test that both compute the same. In bfloat16 some pairs
are also scored by `transformers` in float32, and both are compared with that.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from train_step import model_config

from codepretrain.config.schema import MeshConfig, ModelConfig
from codepretrain.evals.language_model import LanguageModel
from codepretrain.interop.load import read_leaves
from codepretrain.interop.settings import SpecialTokens, to_cohere
from codepretrain.interop.tensor_files import plan_shards, write_tensors
from codepretrain.interop.tensors import nested, to_tensors
from codepretrain.interop.tokenizer_files import write_tokenizer
from codepretrain.model.attention_kernels import choose_kernel
from codepretrain.model.transformer import init_params
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.mesh_axes import AXES
from codepretrain.train.numerics import pin_numerics
from codepretrain.train.sharding import make_mesh, replicated

MAX_SEQ_LEN = 1024
NUM_NEW_TOKENS = 128
_PAD, _BOS, _EOS = ("<pad>", 0), ("<bos>", 1), ("<eos>", 2)
_NUM_SPECIALS = 3
_NUM_FORCED = 8  # tokens of each completion that both score
_SCRIPTS = {"ours": "evaluation.py", "hf": "evaluation_peer.py"}


class Backend(Protocol):
    """A model that scores pairs of texts and completes prompts."""

    def score(self, pairs: list[list[str]]) -> list[tuple[float, bool]]:
        """Returns Σ log p of each continuation in nats, and whether it is the greedy one."""

    def complete(self, prompts: list[str]) -> list[str]:
        """Returns the greedy completion of each prompt, of at most NUM_NEW_TOKENS tokens."""


class Ours:
    """Our language model on the weights in a folder."""

    def __init__(self, setting: dict) -> None:
        from tokenizers import Tokenizer

        config = benchmark_model(setting)
        pin_numerics(config.compute_dtype)
        mesh = make_mesh(MeshConfig(**{name: 1 for name in AXES}), jax.devices()[:1])
        words = [b"", b"", b""] + [b" w%d" % i for i in range(_NUM_SPECIALS, config.vocab_size)]
        self._tokenizer = Tokenizer.from_file(f"{setting['folder']}/tokenizer.json")
        self._model = LanguageModel(
            config,
            Vocabulary(words, bos=_BOS[1], eos=_EOS[1], pad=_PAD[1]),
            mesh,
            batch_size=setting["batch_size"],
            max_seq_len=MAX_SEQ_LEN,
            attention_kernel=choose_kernel(setting["kernel"], platform=jax.devices()[0].platform),
        )
        leaves = nested(read_leaves(setting["folder"], config))
        self._params = jax.block_until_ready(jax.device_put(leaves, replicated(mesh)))

    def score(self, pairs: list[list[str]]) -> list[tuple[float, bool]]:
        contexts = self._ids([context for context, _ in pairs])
        whole = self._ids([context + continuation for context, continuation in pairs])
        continuations = [ids[len(start) :] for ids, start in zip(whole, contexts, strict=True)]
        scores = self._model.score(self._params, contexts, continuations)
        log_probabilities, is_greedy = scores.log_probabilities, scores.is_greedy
        return list(zip(log_probabilities.tolist(), is_greedy.tolist(), strict=True))

    def complete(self, prompts: list[str]) -> list[str]:
        found = self._model.generate(
            self._params, self._ids(prompts), max_new_tokens=NUM_NEW_TOKENS
        )
        return self._tokenizer.decode_batch(found)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]


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
    specials = (_PAD, _BOS, _EOS)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocabulary = dict(specials)
    vocabulary |= {f"w{token}": token for token in range(_NUM_SPECIALS, config.vocab_size)}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": token, "content": text, "special": True, **flags} for text, token in specials
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": _PAD[0]},
    }
    (folder / "words.json").write_text(json.dumps(tokenizer))
    write_tokenizer(folder, folder / "words.json", tokens=tokens, max_seq_len=MAX_SEQ_LEN)


def random_texts(setting: dict, vocab_size: int) -> dict[str, Any]:
    """Returns the pairs and prompts, and how many tokens they have with bos."""
    rng = np.random.default_rng(0)

    def words(count: int) -> str:
        return " ".join(f"w{token}" for token in rng.integers(_NUM_SPECIALS, vocab_size, count))

    lengths = rng.integers(64, MAX_SEQ_LEN + 1, setting["requests"])
    counts = rng.integers(1, 33, setting["requests"])
    pairs = [
        [words(length - 1 - count), " " + words(count)]
        for length, count in zip(lengths, counts, strict=True)
    ]
    prompts = [words(length - 1) for length in rng.integers(32, 513, setting["generations"])]
    return {"pairs": pairs, "prompts": prompts, "scored_tokens": int(lengths.sum())}


def forced(prompts: list[str], completions: list[str]) -> list[list[str]]:
    """Returns pairs of the prompts and the first tokens of their completions."""
    starts = [" ".join(completion.split(" ")[:_NUM_FORCED]) for completion in completions]
    return [[p, " " + start] for p, start in zip(prompts, starts, strict=True) if start]


def measured(backend: Backend, setting: dict) -> dict[str, Any]:
    """Returns seconds of the first and the second pass, and the results of the second."""
    texts = json.loads(Path(setting["folder"], "texts.json").read_text())

    def passes(run: Any, argument: Any) -> tuple[list[float], list]:
        seconds, value = [], []
        for _ in range(2):
            started = time.perf_counter()
            value = run(argument) if argument else []
            seconds.append(time.perf_counter() - started)
        return seconds, value

    scoring_s, scores = passes(backend.score, texts["pairs"])
    generation_s, completions = passes(backend.complete, texts["prompts"])
    pairs = forced(texts["prompts"], setting.get("completions", completions))
    return {
        "scoring_s": scoring_s,
        "generation_s": generation_s,
        "scores": scores,
        "completions": completions,
        "forced": backend.score(pairs) if pairs else [],
    }


def in_process(name: str, setting: dict) -> dict[str, Any]:
    """Returns what a backend measures in a process of its own.

    Raises:
      RuntimeError: it failed; the message ends with what it wrote.
    """
    folder = Path(setting["folder"])
    (folder / "setting.json").write_text(json.dumps(setting))
    script = Path(__file__).with_name(_SCRIPTS[name])
    command = [sys.executable, str(script), "--one", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}:\n{process.stderr[-3000:]}")
    return json.loads((folder / "result.json").read_text())


def report_one(folder: str, backend: Any) -> None:
    """Measures `backend(setting)` for the setting in the folder, and writes the result there."""
    setting = json.loads(Path(folder, "setting.json").read_text())
    one = backend(setting)
    result = measured(one, setting)
    if hasattr(one, "in_float32"):
        result["float32"] = one.in_float32(setting)
    Path(folder, "result.json").write_text(json.dumps(result))


def agreement(ours: dict, hf: dict) -> dict[str, Any]:
    """Returns how far the two backends' results agree."""
    a, b = (np.array([nats for nats, _ in one["scores"]]) for one in (ours, hf))
    reference = np.array([nats for nats, _ in hf["float32"]])
    size = len(reference)
    split = [one["completions"] for one in (ours, hf)]
    tokens = [[text.split(" ") for text in texts] for texts in split]
    starts = [
        next((i for i, (s, t) in enumerate(zip(x, y, strict=False)) if s != t), len(x))
        for x, y in zip(*tokens, strict=True)
    ]
    flags = {k: [[g for _, g in one[k]] for one in (ours, hf)] for k in ("scores", "forced")}
    return {
        "pairs": len(a),
        "mean_log_likelihood": float(b.mean()),
        "largest_difference": float(abs(a - b).max()),
        "largest_from_float32": {
            "ours": float(abs(a[:size] - reference).max()) if size else None,
            "hf": float(abs(b[:size] - reference).max()) if size else None,
        },
        "equal_flags": sum(np.equal(*flags["scores"]).tolist()),
        "completions": len(starts),
        "equal_completions": sum(s == t for s, t in zip(*split, strict=True)),
        "mean_equal_tokens": float(np.mean(starts)) if starts else None,
        "forced": len(flags["forced"][0]),
        "forced_greedy": {"ours": sum(flags["forced"][0]), "hf": sum(flags["forced"][1])},
    }


def run(setting: dict) -> dict[str, Any]:
    """Measures both backends at one batch size; prints a line per backend and task."""
    texts = json.loads(Path(setting["folder"], "texts.json").read_text())
    counts = {
        "scoring": texts["scored_tokens"],
        "generation": NUM_NEW_TOKENS * len(texts["prompts"]),
    }
    found: dict[str, dict] = {}
    for name in _SCRIPTS:
        given = {"completions": found["ours"]["completions"]} if found else {}
        found[name] = in_process(name, setting | given)
        for task, num_tokens in counts.items():
            first, warm = found[name][f"{task}_s"]
            cells = f"{name:>7} {setting['batch_size']:>6} {task:>11} {first:>9.2f} {warm:>9.2f}"
            print(f"{cells} {num_tokens / warm:>11,.0f}", flush=True)
    times = {n: {t: one[f"{t}_s"] for t in counts} for n, one in found.items()}
    compared = agreement(found["ours"], found["hf"])
    print(json.dumps(compared, indent=2), flush=True)
    kept = {k: v for k, v in setting.items() if k not in ("folder", "json", "one")}
    return kept | {"tokens": counts, "seconds": times, "agreement": compared}


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="demo", help="a model preset, or demo")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), help="default: the model's")
    parser.add_argument("--kernel", default="auto", help="our attention kernel")
    parser.add_argument("--requests", type=int, default=512, help="pairs to score")
    parser.add_argument("--generations", type=int, default=64, help="prompts to complete")
    parser.add_argument("--batch-size", nargs="+", type=int, default=[32])
    parser.add_argument("--reference", type=int, default=32, help="pairs also scored in float32")
    parser.add_argument("--json", help="append every result to this file, one JSON object a line")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the folder of a child process
    return parser


def main() -> None:
    values = vars(flags().parse_args())
    if values["one"]:
        report_one(values["one"], Ours)
        return
    with tempfile.TemporaryDirectory() as folder:
        config = benchmark_model(values)
        values |= {"folder": folder, "dtype": config.compute_dtype}
        write_model(Path(folder), config)
        texts = random_texts(values, config.vocab_size)
        Path(folder, "texts.json").write_text(json.dumps(texts))
        header = f"{'backend':>7} {'batch':>6} {'task':>11} {'first s':>9} {'warm s':>9}"
        print(f"{header} {'tokens/s':>11}   {values['size']}, {values['dtype']}", flush=True)
        for size in values["batch_size"]:
            result = run(values | {"batch_size": size})
            if values["json"]:
                with open(values["json"], "a") as file:
                    file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
