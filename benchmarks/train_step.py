"""Step time, MFU and peak memory of several settings in one run, optionally beside PyTorch.

    python benchmarks/train_step.py                               the demo's model
    python benchmarks/train_step.py --size 470m --seq-len 8192 --batch 8 \\
        --remat full save_attention none --kernel pallas_gpu cudnn --peer

Needs jax, flax, optax and this package's model, loss, optim and step. Rows are random tokens in
packed documents of random length. Options that take several values are combined, each setting in a
process of its own, so that its peak memory is its own and running out of it ends only that one.
`--peer` measures transformers' Cohere model of the same shape with `torch_peer.py` after each batch
shape. `--rounds 2` goes through everything twice, so that a drift of the machine shows.

MFU is model FLOPs (`model/size.py`: causal attention counted half, the output head counted,
recomputation not) over the chip's dense bf16 peak, which `--peak-tflops` overrides.
"""

import argparse
import dataclasses
import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from codepretrain.config.schema import (
    DataConfig,
    ExecutionConfig,
    MeshConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.hardware.chips import chip_of
from codepretrain.hardware.host_memory import has_accelerator, keep_freed_memory
from codepretrain.hardware.mesh_axes import AXES
from codepretrain.model.presets import preset
from codepretrain.model.size import flops_per_token, num_parameters
from codepretrain.rows.format import Row
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.train.sharding import global_batch, make_mesh, replicated
from codepretrain.train.state import init_state
from codepretrain.train.step import compile_train_step

# What `experiments/demo.py` trains on a laptop; CPUs have no bfloat16 units.
DEMO = ModelConfig(
    vocab_size=4096,
    d_model=128,
    num_layers=3,
    num_heads=4,
    num_kv_heads=4,
    head_dim=32,
    d_ff=352,
    compute_dtype="float32",
)
COMBINED = ("size", "seq_len", "batch", "microbatches", "remat", "kernel", "layers", "vocabulary")
_LABELS = ("size", "seq_len", "batch", "microbatches", "remat", "kernel")


def model_config(size: str, *, layers: int | None, vocabulary: int | None) -> ModelConfig:
    """Returns a named model, with another number of layers or ids if asked."""
    config = DEMO if size == "demo" else preset(size)
    changes: dict[str, Any] = {"num_layers": layers, "vocab_size": vocabulary}
    return dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})


def study_config(setting: dict) -> StudyConfig:
    """Returns the study of one setting (a value per flag)."""
    return StudyConfig(
        name="benchmark",
        model=model_config(
            setting["size"], layers=setting["layers"], vocabulary=setting["vocabulary"]
        ),
        data=DataConfig(sources={}, max_seq_len=setting["seq_len"]),
        training=TrainingConfig(batch_size=setting["batch"]),
        execution=ExecutionConfig(
            mesh=MeshConfig(**dict(zip(AXES, setting["mesh"], strict=True))),
            num_microbatches=setting["microbatches"],
            remat_policy=setting["remat"],
            attention_kernel=setting["kernel"],
            attention_block_q=setting["block_q"],
            attention_block_kv=setting["block_kv"],
            loss_vocab_block=setting["loss_vocab_block"],
            loss_token_block=setting["loss_token_block"],
            unroll_layers=setting["unroll"],
            deterministic=setting["deterministic"],
        ),
        phases={},
        variants={},
    )


def random_batch(batch_size: int, max_seq_len: int, vocab_size: int) -> Batch:
    """Returns full rows of random tokens in documents of 16 tokens up to a whole row."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(batch_size):
        cuts = np.sort(rng.choice(np.arange(16, max_seq_len), size=3, replace=False))
        starts = np.array([0, *cuts], np.int32)
        zeros = np.zeros(len(starts), np.int64)
        rows.append(
            Row(
                tokens=rng.integers(3, vocab_size, max_seq_len + 1).astype(np.int32),
                segment_starts=starts,
                segment_lengths=np.diff([*starts, max_seq_len + 1]).astype(np.int32),
                documents=np.arange(len(starts)),
                document_offsets=zeros,
                segment_bytes=zeros,
            )
        )
    return batch_from_rows(rows, mask_documents=True)


def measure(setting: dict) -> dict:
    """Runs one setting on all devices; returns its times in seconds and its memory."""
    if not setting["returns_memory"] and not has_accelerator():
        keep_freed_memory()  # as `codepretrain train` does
    config = study_config(setting)
    mesh = make_mesh(config.execution.mesh, d_model=config.model.d_model)
    started = time.perf_counter()
    train_step = compile_train_step(config, mesh)
    compile_s = time.perf_counter() - started
    state, planned = init_state(config, mesh, seed=config.seed), train_step.memory_analysis()
    assert planned is not None
    rows = random_batch(setting["batch"], setting["seq_len"], config.model.vocab_size)
    batch = global_batch(rows, mesh)
    rates = jax.device_put((np.float32(1e-4), np.float32(0.1)), replicated(mesh))
    seconds = []
    for step in range(setting["warmup"] + setting["steps"]):
        if setting["trace"] and step == setting["warmup"]:
            jax.profiler.start_trace(setting["trace"])
        started = time.perf_counter()
        state, metrics = train_step(state, batch, *rates)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - started)
    if setting["trace"]:
        jax.profiler.stop_trace()
    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "by": "ours",
        "device": device.device_kind,
        "num_devices": jax.device_count(),
        "parameters": num_parameters(config.model),
        "compile_s": compile_s,
        "seconds": seconds[setting["warmup"] :],
        "loss": float(metrics.loss),
        "temporary_bytes": planned.temp_size_in_bytes,  # besides the state
        "peak_bytes": memory or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def in_process(script: str, setting: dict) -> dict:
    """Returns what the script measures in a process of its own, or its last error line."""
    path = Path(__file__).with_name(script)
    command = [sys.executable, str(path), "--one", json.dumps(setting)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return json.loads(result.stdout.splitlines()[-1])
    lines = [line for line in result.stderr.splitlines() if "Error" in line.split(" ")[0]]
    reason = lines[-1] if lines else f"exit status {result.returncode}"
    return {"by": "ours" if script == Path(__file__).name else "torch", "error": reason}


def derived(setting: dict, found: dict, peak_tflops: float | None) -> dict:
    """Adds median, spread, tokens a second and MFU."""
    if "error" in found:
        return setting | found
    model = study_config(setting).model
    low, median, high = np.percentile(found["seconds"], [10, 50, 90])
    tokens_per_s = setting["batch"] * setting["seq_len"] / median
    chip = chip_of(found["device"])
    known_peak = chip.peak_flops_per_s if chip else None
    peak = peak_tflops * 1e12 if peak_tflops else known_peak
    achieved = tokens_per_s * flops_per_token(model, setting["seq_len"]) / found["num_devices"]
    return (
        setting
        | found
        | {
            "median_s": median,
            "low_s": low,
            "high_s": high,
            "tokens_per_s": tokens_per_s,
            "tflops_per_device": achieved / 1e12,
            "mfu": achieved / peak if peak else None,
        }
    )


def line(result: dict) -> str:
    """Returns a result as a line of the table."""
    named = [str(result[key]) for key in _LABELS if key != "kernel"]
    kernel = result["kernel"] if result["by"] == "ours" else "torch"
    cells = [f"{cell:>9}" for cell in named] + [f"{kernel:>11}"]
    if "error" in result:
        return " ".join(cells) + "  " + result["error"][:150]
    times = (1e3 * result[key] for key in ("median_s", "low_s", "high_s"))
    cells.append("{:>9.1f} {:>9.1f} {:>9.1f}".format(*times))
    cells.append(f"{result['tokens_per_s']:>9,.0f} {result['tflops_per_device']:>8.2f}")
    cells.append(f"{result['mfu']:>6.1%}" if result["mfu"] else "     -")
    cells.append(f"{result['peak_bytes'] / 2**30:>8.2f} {result['compile_s']:>8.1f}")
    return " ".join(cells)


HEADER = " ".join(
    [f"{name:>9}" for name in ("size", "tokens", "batch", "micro", "remat")]
    + [f"{'kernel':>11}", f"{'ms':>9} {'10%':>9} {'90%':>9}", f"{'tokens/s':>9} {'TFLOP/s':>8}"]
    + [f"{'MFU':>6} {'peak GiB':>8} {'compile':>8}"]
)


def run(settings: list[dict], *, peer: bool, rounds: int, peak_tflops: float | None) -> list[dict]:
    """Measures every setting, and the peer once per shape and round; prints each result."""
    print(HEADER)
    results = []
    for _ in range(rounds):
        seen = set()
        for setting in settings:
            found = [(setting, in_process(Path(__file__).name, setting))]
            key = tuple(setting[name] for name in COMBINED if name != "kernel")
            if peer and key not in seen:
                seen.add(key)
                others = setting | {"remat": setting["peer_remat"] or setting["remat"]}
                found.append((others, in_process("torch_peer.py", others)))
            for measured, one in found:
                results.append(derived(measured, one, peak_tflops))
                print(line(results[-1]), flush=True)
    return results


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", default=["demo"])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[256])
    parser.add_argument("--batch", nargs="+", type=int, default=[8])
    parser.add_argument("--microbatches", nargs="+", type=int, default=[1])
    parser.add_argument("--remat", nargs="+", default=["none"])
    parser.add_argument("--kernel", nargs="+", default=["auto"])
    parser.add_argument("--layers", nargs="+", type=int, default=[None])
    parser.add_argument("--vocabulary", nargs="+", type=int, default=[None])
    parser.add_argument("--block-q", type=int)
    parser.add_argument("--block-kv", type=int)
    parser.add_argument("--loss-vocab-block", type=int, help="ids of a block of the loss")
    parser.add_argument("--loss-token-block", type=int, help="positions of a block of the loss")
    parser.add_argument("--unroll", action="store_true", help="compile every layer, no loop")
    parser.add_argument("--deterministic", action="store_true", help="the same bits on GPUs")
    sizes = [axis.default for axis in AXES.values()]
    parser.add_argument("--mesh", nargs=len(AXES), type=int, default=sizes, help=" ".join(AXES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--trace", help="write a profile of the timed steps to this folder")
    parser.add_argument(
        "--returns-memory",
        action="store_true",
        help="leave malloc alone on a CPU, here and in the peer (hardware/host_memory.py)",
    )
    parser.add_argument("--peak-tflops", type=float, help="of one device, dense bf16")
    parser.add_argument("--peer", action="store_true", help="PyTorch beside it")
    parser.add_argument("--peer-remat", choices=["none", "full"], help="default: as --remat")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", help="append every result to this file, one JSON object a line")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a setting as JSON, for a child process
    return parser


def main() -> None:
    values = vars(flags().parse_args())
    if values["one"]:
        print(json.dumps(measure(json.loads(values["one"]))))
        return
    settings = [
        values | dict(zip(COMBINED, combination, strict=True))
        for combination in itertools.product(*(values[name] for name in COMBINED))
    ]
    results = run(
        settings, peer=values["peer"], rounds=values["rounds"], peak_tflops=values["peak_tflops"]
    )
    if values["json"]:
        with open(values["json"], "a") as file:
            file.writelines(json.dumps(result) + "\n" for result in results)


if __name__ == "__main__":
    main()
