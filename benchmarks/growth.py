"""How step time and memory grow with sequence length, batch, layers and vocabulary.

    python benchmarks/growth.py                                  the demo's model, two doublings
    python benchmarks/growth.py --size 470m --seq-len 2048 --batch 4 --layers 8 --vocabulary 64000

Each axis is doubled from the same starting point. The table compares the growth of the time with
that of the model's FLOPs (`model/size.py`), and the compiler's temporary memory with

    temporary = 4 bytes · parameters (gradients) + activations per position

The second term is taken from the starting point. It grows with the tokens (batch, sequence length),
not with the vocabulary (the loss works in blocks), and between 1 × and layers × with the layers,
since only part of it is kept per layer; both limits are shown. `reference` and `blocked` attention
hold [T, T] (or half of it) for one layer, so they grow by up to T²; other kernels grow with T.
"""

import argparse

from train_step import flags as step_flags
from train_step import in_process, model_config

from codepretrain.config.schema import ModelConfig
from codepretrain.model.size import flops_per_token, num_parameters

AXES = ("seq_len", "batch", "layers", "vocabulary")


def flops(setting: dict) -> int:
    """Returns the model FLOPs of one step."""
    tokens = setting["batch"] * setting["seq_len"]
    return tokens * flops_per_token(model_of(setting), setting["seq_len"])


def model_of(setting: dict) -> ModelConfig:
    return model_config(setting["size"], layers=setting["layers"], vocabulary=setting["vocabulary"])


def holds_scores(measured: dict) -> bool:
    """Whether attention holds scores of all pairs; `auto` does on a CPU."""
    on_cpu = measured["device"] == "cpu" and measured["kernel"] == "auto"
    return on_cpu or measured["kernel"] in ("reference", "blocked")


def expected_memory(setting: dict, first: dict, axis: str) -> tuple[float, float]:
    """Returns the bounds of the law for the compiler's temporary bytes."""
    work = first["temporary_bytes"] - 4 * num_parameters(model_of(first))
    gradients = 4 * num_parameters(model_of(setting))
    ratio = setting[axis] / first[axis]
    low, high = {
        "seq_len": (ratio, ratio**2 if holds_scores(first) else ratio),
        "batch": (ratio, ratio),
        "layers": (1.0, ratio),
        "vocabulary": (1.0, 1.0),
    }[axis]
    return gradients + low * work, gradients + high * work


def table(base: dict, doublings: int) -> None:
    """Measures every axis and prints a line a point."""
    first = base | in_process("train_step.py", base)
    if "error" in first:
        raise SystemExit(first["error"])
    print(f"{'axis':>11} {'value':>8} {'ms':>9} {'time':>7} {'FLOPs':>7} {'MiB':>9}   expected MiB")
    for axis in AXES:
        for power in range(doublings + 1):
            setting = base | {axis: base[axis] * 2**power}
            found = setting | (in_process("train_step.py", setting) if power else first)
            if "error" in found:
                print(f"{axis:>11} {setting[axis]:>8} {found['error'][:100]}")
                continue
            # The fastest step: what else the machine does only ever adds.
            seconds = [min(x["seconds"]) for x in (found, first)]
            low, high = (m / 2**20 for m in expected_memory(setting, first, axis))
            print(
                f"{axis:>11} {setting[axis]:>8} {1e3 * seconds[0]:>9.1f} "
                f"{seconds[0] / seconds[1]:>6.2f}× {flops(setting) / flops(first):>6.2f}× "
                f"{found['temporary_bytes'] / 2**20:>9.1f}   {low:.1f} … {high:.1f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], parents=[step_flags()], conflict_handler="resolve"
    )
    parser.add_argument("--doublings", type=int, default=2)
    parser.set_defaults(remat=["full"], steps=7, loss_vocab_block=1024, loss_token_block=512)
    values = vars(parser.parse_args())
    base = values | {
        name: values[name][0] for name in ("size", "microbatches", "remat", "kernel", *AXES)
    }
    model = model_of(base)
    base |= {"layers": model.num_layers, "vocabulary": model.vocab_size}
    table(base, values["doublings"])


if __name__ == "__main__":
    main()
