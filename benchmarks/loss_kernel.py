"""The loss's kernel alone: equal to the formula on this device, and how long both take.

    python benchmarks/loss_kernel.py [--num-ids 256000]

The gradient of the logits (`train/loss/logit_gradient.py`), float32 and bfloat16. Correctness: rows
with a logit from 500 below to 500 above the target's, among them where float32 overflows (88) and
where the kernel starts again with the maximum (41), once more with a weight of 1e-7, and targets on
no id; the largest difference to the formula over the row's largest value. The other logits are
about the target's, so that no target has nearly all of the probability: there p - 1 cancels, and
both are up to 4e-5 apart in float32. Time is the median for 4096 random rows. On a CPU the kernel
runs in Pallas's interpreter and is not timed. Ends with status 1 if the kernel is wrong.
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.train.loss.layout import Axes
from codepretrain.train.loss.logit_gradient import LogitGradient, Objective, by_formula, by_kernel

Arguments = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # of a gradient, see there
Gradient = Callable[..., LogitGradient]

OBJECTIVE = Objective(logit_scale=0.25, z_loss_coefficient=1e-4)
GAPS = (-500, -100, -88, -42, -40, -20, 0, 20, 30, 40, 41, 42, 60, 80, 86, 87, 88, 89, 100, 500)
TOLERANCE = {"float32": 1e-5, "bfloat16": 8e-3}


def rows_with_gaps(num_ids: int, *, seed: int) -> Arguments:
    """Returns two rows per gap: one logit is as far above the target's as the gap says."""
    gaps = np.repeat(np.array(GAPS, np.float32), 2)
    products = jax.random.normal(jax.random.key(seed), (len(gaps), num_ids))
    products = products.at[:, num_ids // 2].set(gaps / OBJECTIVE.logit_scale).at[:, 9].set(0.0)
    weights = np.tile(np.array([1.0, 1e-7], np.float32), len(GAPS))
    target = np.full(len(gaps), 9, np.int32)
    nowhere = products[:2], jnp.array([-1, num_ids], jnp.int32), jnp.zeros(2), jnp.ones(2)
    rows = products, jnp.asarray(target), jnp.zeros(len(gaps)), jnp.asarray(weights)
    first, second, third, fourth = map(jnp.concatenate, zip(rows, nowhere, strict=True))
    return first, second, third, fourth


def gradients(dtype: jnp.dtype, *, interpret: bool) -> tuple[Gradient, Gradient]:
    """Returns the jitted kernel and formula."""
    kernel = functools.partial(by_kernel, objective=OBJECTIVE, dtype=dtype, interpret=interpret)
    one_device = Axes(rows=(), vocab=None, embed=None)
    formula = functools.partial(by_formula, objective=OBJECTIVE, dtype=dtype, axes=one_device)
    return jax.jit(kernel), jax.jit(formula)


def largest_error(found: LogitGradient, expected: LogitGradient) -> float:
    """Returns the largest error of log Z or the gradient, relative to its row; NaN if any is."""
    both = [
        np.asarray(one.factor, np.float32)[:, None] * np.asarray(one.values, np.float32)
        for one in (found, expected)
    ]
    scale = np.abs(both[1]).max(-1, initial=1e-30)
    error = np.abs(both[0] - both[1]).max(-1) / scale
    of_log_z = np.abs(np.asarray(found.log_z - expected.log_z)) / np.abs(expected.log_z)
    return float(np.max([*error, *of_log_z]))


def median_s(function: Gradient, arguments: Arguments) -> float:
    """Returns the median time of 10 calls after 3 others, in seconds."""
    seconds = []
    for _ in range(13):
        started = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[3:])


def random_rows(num_rows: int, num_ids: int) -> Arguments:
    """Returns rows of normal products, each with a target at random."""
    keys = jax.random.split(jax.random.key(0), 2)
    products = jax.random.normal(keys[0], (num_rows, num_ids))
    target = jax.random.randint(keys[1], (num_rows,), 0, num_ids)
    target_logit = OBJECTIVE.logit_scale * products[jnp.arange(num_rows), target]
    return products, target, target_logit, jnp.ones(num_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-ids", type=int, default=256_000)
    parser.add_argument("--rows", type=int, default=4096, help="of the timed call")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 2**31, help="of the gaps' rows"
    )
    flags = parser.parse_args()
    print(f"seed {flags.seed}")
    on_gpu = jax.devices()[0].platform == "gpu"
    wrong = []
    for dtype, tolerance in TOLERANCE.items():
        kernel, formula = gradients(jnp.dtype(dtype), interpret=not on_gpu)
        arguments = rows_with_gaps(flags.num_ids, seed=flags.seed)
        error = largest_error(kernel(*arguments), formula(*arguments))
        text = f"{dtype:>8}: largest error {error:.1e} (at most {tolerance:.0e})"
        if on_gpu:
            arguments = random_rows(flags.rows, flags.num_ids)
            times = [1e3 * median_s(function, arguments) for function in (kernel, formula)]
            text += f"; {flags.rows} rows: {times[0]:.2f} ms, the formula {times[1]:.2f} ms"
        print(text, flush=True)
        wrong += [dtype] if not error <= tolerance else []
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
