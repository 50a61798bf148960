"""Speed and agreement of evaluation: our language model beside lm-evaluation-harness's `hf` model.

    python benchmarks/evaluation.py                                    the demo's model
    python benchmarks/evaluation.py --size 470m --batch-size 16 32     on a GPU
    python benchmarks/evaluation.py --size 470m --dtype float32 --kernel reference --batch-size 8

Needs lm_eval, dill, torch, transformers, accelerate and tokenizers. A model with random bfloat16
weights is written as a `transformers` folder, which both read. Both get the same texts: pairs to
score, of 64 to 1,024 tokens with continuations of 1 to 32, `--choices` of which share a context, as
those of a multiple-choice question do; and prompts of 32 to 512 tokens with 128 greedy tokens each.
`--max-tokens` shortens the texts. Each measurement has a process of its own. "first" is the first
pass over the texts, compilation included; "warm" is the second pass over the same texts. Both
include tokenization and decoding, neither includes loading. "CPU s" is the processor time of the
warm pass: on a CPU with other work on it, its ratio is steadier than that of the seconds.

Random weights give logits with small margins. In bfloat16, generated texts therefore diverge after
some tokens; `--dtype float32` tests that both compute the same. In bfloat16 some pairs are also
scored by `transformers` in float32, and both are compared with that. The harness's default takes
the softmax in the model's dtype, ours in float32. The harness holds the logits of a whole batch:
for 256,000 ids and 1,024 tokens, a batch of 32 needs about 50 GiB in bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import jax
from evaluation_agreement import agreement, agreement_lines
from evaluation_data import (
    MAX_SEQ_LEN,
    NUM_FORCED,
    NUM_NEW_TOKENS,
    benchmark_model,
    numbered_words,
    random_texts,
    write_model,
)

from codepretrain.config.schema import MeshConfig
from codepretrain.evals.language_model import LanguageModel
from codepretrain.hardware.host_memory import has_accelerator, keep_freed_memory
from codepretrain.hardware.mesh_axes import AXES
from codepretrain.interop.load import read_leaves
from codepretrain.interop.tensors import nested
from codepretrain.model.attention_kernels import Target, choose_kernel
from codepretrain.train.numerics import pin_numerics
from codepretrain.train.sharding import make_mesh, replicated

_SCRIPTS = {"ours": "evaluation.py", "hf": "evaluation_peer.py"}


class Backend(Protocol):
    """A model that scores pairs of texts and completes prompts."""

    device: str

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
        self.device = jax.devices()[0].device_kind
        mesh = make_mesh(MeshConfig(**dict.fromkeys(AXES, 1)), jax.devices()[:1])
        self._tokenizer = Tokenizer.from_file(f"{setting['folder']}/tokenizer.json")
        self._model = LanguageModel(
            config,
            numbered_words(config.vocab_size),
            mesh,
            batch_size=setting["batch_size"],
            max_seq_len=MAX_SEQ_LEN,
            attention_kernel=choose_kernel(
                setting["kernel"], Target.of(jax.devices()[0], config.compute_dtype)
            ),
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
        return self._tokenizer.decode_batch([one.tokens for (one,) in found])

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]


def forced(prompts: list[str], completions: list[str]) -> list[list[str]]:
    """Returns pairs of the prompts and the first tokens of their completions."""
    starts = [" ".join(completion.split(" ")[:NUM_FORCED]) for completion in completions]
    return [[p, " " + start] for p, start in zip(prompts, starts, strict=True) if start]


def measured(backend: Backend, setting: dict) -> dict[str, Any]:
    """Returns seconds of the first and the second pass, and the results of the second."""
    texts = json.loads(Path(setting["folder"], "texts.json").read_text())

    def passes(run: Any, argument: Any) -> tuple[list[float], list[float], list]:
        seconds: list[float] = []
        cpu_seconds: list[float] = []
        value: list = []
        for _ in range(2):
            started, cpu_started = time.perf_counter(), time.process_time()
            value = run(argument) if argument else []
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
        return seconds, cpu_seconds, value

    scoring_s, scoring_cpu_s, scores = passes(backend.score, texts["pairs"])
    generation_s, generation_cpu_s, completions = passes(backend.complete, texts["prompts"])
    pairs = forced(texts["prompts"], setting.get("completions", completions))
    return {
        "scoring_s": scoring_s,
        "generation_s": generation_s,
        "scoring_cpu_s": scoring_cpu_s,
        "generation_cpu_s": generation_cpu_s,
        "scores": scores,
        "completions": completions,
        "forced": backend.score(pairs) if pairs else [],
    }


def in_process(name: str, setting: dict) -> dict[str, Any]:
    """Returns what a backend measures in a process of its own, or the end of its errors."""
    folder = Path(setting["folder"])
    (folder / "setting.json").write_text(json.dumps(setting))
    script = Path(__file__).with_name(_SCRIPTS[name])
    command = [sys.executable, str(script), "--one", str(folder)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}  # the model is in the folder
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if process.returncode:
        return {"error": f"exit status {process.returncode}: {process.stderr[-2000:]}"}
    return json.loads((folder / "result.json").read_text())


def report_one(folder: str, backend: Any) -> None:
    """Measures `backend(setting)` for the setting in the folder, and writes the result there."""
    setting = json.loads(Path(folder, "setting.json").read_text())
    one = backend(setting)
    result = measured(one, setting) | {"device": one.device}
    if hasattr(one, "in_float32"):
        result["float32"] = one.in_float32(setting)
    Path(folder, "result.json").write_text(json.dumps(result))


def ratio_line(found: dict[str, dict]) -> str:
    """Returns how many times faster ours is, in seconds and in CPU seconds, on the second pass."""
    cells = []
    for task in ("scoring", "generation"):
        for unit in ("s", "cpu_s"):
            ours, hf = (found[name][f"{task}_{unit}"][1] for name in _SCRIPTS)
            if ours:
                cells.append(f"{task} {hf / ours:.2f} ({unit})")
    return f"  hf / ours, warm: {', '.join(cells)}\n"


def run(setting: dict) -> dict[str, Any]:
    """Measures both backends at one batch size; prints a line per backend and task."""
    texts = json.loads(Path(setting["folder"], "texts.json").read_text())
    generated = NUM_NEW_TOKENS * len(texts["prompts"])
    counts = {"scoring": texts["scored_tokens"], "generation": generated}
    found: dict[str, dict] = {}
    for name in _SCRIPTS:
        extra = {"completions": found["ours"].get("completions", [])} if found else {}
        found[name] = in_process(name, setting | extra)
        if "error" in found[name]:
            print(f"{name:>7} {setting['batch_size']:>6} {found[name]['error']}", flush=True)
            continue
        for task, num_tokens in counts.items():
            first, warm = found[name][f"{task}_s"]
            cells = f"{name:>7} {setting['batch_size']:>6} {task:>11} {first:>9.2f} {warm:>9.2f}"
            cpu_s = found[name][f"{task}_cpu_s"][1]
            print(f"{cells} {num_tokens / warm:>11,.0f} {cpu_s:>9.2f}", flush=True)
    result = {k: setting[k] for k in setting.keys() - {"folder", "json", "one"}}
    result |= {"tokens": counts}
    for name, one in found.items():
        result[name] = {
            k: v for k, v in one.items() if k in ("error", "device") or k.endswith("_s")
        }
    if not any("error" in one for one in found.values()):
        compared = agreement(found["ours"], found["hf"])
        print(agreement_lines(compared) + ratio_line(found), flush=True)
        result["agreement"] = compared
    return result


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="demo", help="a model preset, or demo")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), help="default: the model's")
    parser.add_argument("--kernel", default="auto", help="our attention kernel")
    parser.add_argument("--requests", type=int, default=512, help="pairs to score")
    parser.add_argument("--choices", type=int, default=4, help="pairs that share a context")
    parser.add_argument("--generations", type=int, default=64, help="prompts to complete")
    parser.add_argument("--max-tokens", type=int, default=MAX_SEQ_LEN, help="of a pair")
    parser.add_argument("--batch-size", nargs="+", type=int, default=[32])
    parser.add_argument("--reference", type=int, default=32, help="pairs also scored in float32")
    parser.add_argument("--json", help="append every result to this file, one JSON object a line")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the folder of a child process
    return parser


def main() -> None:
    parser = flags()
    values = vars(parser.parse_args())
    if values["one"]:
        if not has_accelerator():
            keep_freed_memory()  # as `codepretrain evaluate` does
        report_one(values["one"], Ours)
        return
    if not 64 <= values["max_tokens"] <= MAX_SEQ_LEN:
        parser.error(f"--max-tokens: expected 64 to {MAX_SEQ_LEN}, got {values['max_tokens']}")
    num_failed = 0
    with tempfile.TemporaryDirectory() as folder:
        config = benchmark_model(values)
        values |= {"folder": folder, "dtype": config.compute_dtype}
        write_model(Path(folder), config)
        texts = random_texts(values, config.vocab_size)
        Path(folder, "texts.json").write_text(json.dumps(texts))
        header = f"{'backend':>7} {'batch':>6} {'task':>11} {'first s':>9} {'warm s':>9}"
        print(
            f"{header} {'tokens/s':>11} {'CPU s':>9}   {values['size']}, {values['dtype']}",
            flush=True,
        )
        for size in values["batch_size"]:
            result = run(values | {"batch_size": size})
            num_failed += "agreement" not in result
            if values["json"]:
                with open(values["json"], "a") as file:
                    file.write(json.dumps(result) + "\n")
    sys.exit(1 if num_failed else 0)


if __name__ == "__main__":
    main()
