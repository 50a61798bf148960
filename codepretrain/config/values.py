"""The valid values of each config field: one table, checked before anything else.

A pattern names a field as in the config, with `*` for a name or a place in a list:
`phases.*.mixture_changes.*.at_tokens`. Fields without an entry are limited by their type alone
(numbers are finite, text is printable) or by rules that involve other fields (`config/validate.py`,
`optim/schedules.py`). Where None is allowed follows from the types.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError

MAX_INT32 = 2**31 - 1  # of ids, dims and counts that devices hold
MAX_TOKENS = 10**18  # budgets and sizes: a 64-bit integer, with room for sums
MAX_TEXT = 4096  # a path
# The names in `model/remat.py` and `model/attention_kernels.py`, which need JAX.
REMAT_POLICIES = ("full", "none", "offload", "save_attention", "save_products")
ATTENTION_KERNELS = ("blocked", "cudnn", "pallas_gpu", "reference", "splash")
MAX_REPLICATES = 1000
MAX_AVERAGED = 1000  # checkpoints
_MAX_NAME = 64  # names become parts of file names
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Rule:
    """A constraint on a value: `expected` is for the message, `holds` checks it.

    choices: all valid values, if they are few; the message suggests the nearest.
    """

    expected: str
    holds: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def whole(low: int, high: int = MAX_INT32) -> Rule:
    return Rule(f"a whole number from {low:,} to {high:,}", lambda value: low <= value <= high)


def one_of(*choices: str) -> Rule:
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices, choices)


POSITIVE = Rule("a positive number", lambda value: value > 0)
NOT_NEGATIVE = Rule("a number from 0", lambda value: value >= 0)
_BELOW_ONE = Rule("a number in [0, 1)", lambda value: 0 <= value < 1)
_SHARE = Rule("a number from 0 to 1", lambda value: 0 <= value <= 1)
_FRACTION = Rule("a number in (0, 1]", lambda value: 0 < value <= 1)
_WEIGHT = Rule(
    "a weight of 0, or from 1e-9 to 1e15", lambda value: value == 0 or 1e-9 <= value <= 1e15
)
_SEED = whole(0, 2**32 - 1)  # JAX's random keys take 32-bit seeds
FILLED = Rule("text that is not empty", lambda value: value.strip() != "")
_AXIS = Rule(
    "a number of devices from 1, or -1", lambda value: 1 <= value <= MAX_INT32 or value == -1
)
NAME = Rule(
    "a name of lower-case letters, digits and _ that starts with a letter, at most "
    f"{_MAX_NAME} long",
    lambda value: len(value) <= _MAX_NAME and _NAME.fullmatch(value) is not None,
)

RULES: Mapping[str, Rule] = {
    "name": NAME,
    "seed": _SEED,
    "replicates.*.initialization_seed": _SEED,
    "replicates.*.data_order_seed": _SEED,
    "num_replicates.*": whole(1, MAX_REPLICATES),
    "model.vocab_size": whole(1),
    "model.d_model": whole(1),
    "model.num_layers": whole(1),
    "model.num_heads": whole(1),
    "model.num_kv_heads": whole(1),
    "model.head_dim": Rule(
        "an even number from 2 to 65,536", lambda value: 2 <= value <= 65_536 and value % 2 == 0
    ),
    "model.d_ff": whole(1),
    "model.rope_base": POSITIVE,
    "model.norm_epsilon": POSITIVE,
    "model.logit_scale": POSITIVE,
    "model.compute_dtype": one_of("bfloat16", "float32"),
    # A shorter row holds no document between the tokens that begin and end it.
    "data.max_seq_len": whole(8, 2**24),
    "data.packing": one_of("best_fit", "concatenate"),
    "data.validation_fraction": _BELOW_ONE,
    "data.part_bytes": whole(1, 2**40),
    "data.deduplication.exact": one_of("keep", "drop_within", "drop_across"),
    "data.deduplication.near": one_of("ignore", "keep", "drop_within", "drop_across"),
    "data.deduplication.min_similarity": _FRACTION,
    "data.decontamination.benchmarks.*": FILLED,
    "data.decontamination.ngram_words": whole(4, 100),
    "data.tokenizer.path": FILLED,
    "data.tokenizer.vocab_size": whole(1),
    "data.tokenizer.training_bytes_per_source": whole(1, MAX_TOKENS),
    "data.tokenizer.training_weights.*": _WEIGHT,
    "data.tokenizer.bos_token": FILLED,
    "data.tokenizer.eos_token": FILLED,
    "data.sources.*.reader": FILLED,
    "data.sources.*.kind": NAME,
    "data.sources.*.filters.*.name": FILLED,
    "data.sources.*.num_tokens": whole(1, MAX_TOKENS),
    "data.sources.*.max_epochs": POSITIVE,
    "data.sources.*.split": one_of("by_group", "train", "held_out"),
    "training.batch_size": whole(1),
    "training.z_loss_coefficient": NOT_NEGATIVE,
    "training.spike_factor": Rule("a number above 1", lambda value: value > 1),
    "training.max_consecutive_skips": whole(1),
    "optimizer.beta1": _BELOW_ONE,
    "optimizer.beta2": _BELOW_ONE,
    "optimizer.epsilon": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.max_gradient_norm": POSITIVE,
    "optimizer.first_moment_dtype": one_of("float32", "bfloat16"),
    "phases.*.kind": one_of("train", "average"),
    "phases.*.average.members.*": NAME,
    "phases.*.average.last_k": whole(2, MAX_AVERAGED),
    "phases.*.average.ema_decay": Rule("a number in (0, 1)", lambda value: 0 < value < 1),
    "phases.*.average.weights.*": Rule(
        "a weight from 1e-9 to 1e15", lambda value: 1e-9 <= value <= 1e15
    ),
    "phases.*.tokens": whole(1, MAX_TOKENS),
    "phases.*.parent_tokens": whole(1, MAX_TOKENS),
    "phases.*.initial_checkpoint": NAME,
    "phases.*.data_order": one_of("continue", "restart"),
    "phases.*.weight_decay": NOT_NEGATIVE,
    "phases.*.mixture.*": _WEIGHT,
    "phases.*.mixture_changes.*.at_tokens": whole(1, MAX_TOKENS),
    "phases.*.mixture_changes.*.weights.*": _WEIGHT,
    "phases.*.schedule.peak_learning_rate": NOT_NEGATIVE,
    "phases.*.schedule.end_learning_rate": NOT_NEGATIVE,
    "phases.*.schedule.start_learning_rate": NOT_NEGATIVE,
    "phases.*.schedule.warmup_steps": whole(0, MAX_TOKENS),
    "phases.*.schedule.decay_fraction": Rule("a number in [0, 1]", lambda value: 0 <= value <= 1),
    "execution.mesh.data": _AXIS,
    "execution.mesh.fsdp": _AXIS,
    "execution.mesh.tensor": _AXIS,
    "execution.num_microbatches": whole(1),
    "execution.remat_policy": one_of(*REMAT_POLICIES),
    "execution.attention_kernel": one_of("auto", *ATTENTION_KERNELS),
    "execution.attention_block_q": whole(1),
    "execution.attention_block_kv": whole(1),
    "execution.loss_vocab_block": whole(1),
    "execution.loss_token_block": whole(1),
    "execution.gradient_reduction_dtype": one_of("float32", "bfloat16"),
    "execution.prefetch_batches": whole(1, 65_536),
    "execution.reader_threads": whole(1, 1024),
    "execution.row_cache_bytes": whole(2**20, 2**60),
    "execution.replay_interval_steps": whole(1),
    "checkpoint.temporary_interval_s": POSITIVE,
    "checkpoint.num_temporary": whole(1),
    "checkpoint.permanent_interval_steps": whole(1, MAX_TOKENS),
    "checkpoint.local_folder": Rule(
        "the absolute path of a folder on each host", lambda value: value.startswith("/")
    ),
    "checkpoint.local_interval_s": POSITIVE,
    "checkpoint.local_interval_steps": whole(1, MAX_TOKENS),
    "evals.*.kind": FILLED,
    "evals.*.interval_steps": whole(1, MAX_TOKENS),
    "evals.*.interval_tokens": whole(1, MAX_TOKENS),
    "evals.*.on_failure": one_of("stop", "continue"),
    "evals.*.num_examples": whole(1),
    "averages.categories.*.*": FILLED,
    "averages.totals.*.*": FILLED,
    "averages.excluded.*": FILLED,
    "contrasts.*.metric": FILLED,
    "contrasts.*.direction": one_of(
        "higher", "lower", "different", "equivalent", "not_higher", "not_lower"
    ),
    "contrasts.*.question": FILLED,
    "contrasts.*.margin": POSITIVE,
    "contrasts.*.family": NAME,
    "contrasts.*.run_correlation": _SHARE,
    "pareto.*": FILLED,
    "logging.interval_steps": whole(1, MAX_TOKENS),
    "logging.wandb_project": FILLED,
    "cost.mfu": _FRACTION,
    "cost.price_per_chip_hour": NOT_NEGATIVE,
}


def check_values(config: Any, rules: Mapping[str, Rule] = RULES, *, root: str = "config") -> None:
    """Checks the value of every field of a study, or of another dataclass with its own rules.

    Raises:
      UserError: names the first field with an invalid value, and the value.
    """
    for path, pattern, value in leaves(config):
        require(_general_rule(value), f"{root}.{path}", value)
        if pattern in rules and value is not None:
            require(rules[pattern], f"{root}.{path}", value)


def require(rule: Rule, path: str, value: Any) -> None:
    """Raises UserError unless the rule holds for the value at `path`."""
    if not rule.holds(value):
        near = suggestion(value[:MAX_TEXT], rule.choices) if rule.choices else ""
        near = near if "did you mean" in near else ""  # the choices are named already
        raise UserError(f"{path}: expected {rule.expected}, got {_spelled(value)}{near}")


def check_reference(path: str, name: str, valid: Mapping[str, object], what: str) -> None:
    """Raises UserError unless `valid` has the name of a `what` that is at `path`."""
    if name not in valid:
        raise UserError(f"{path}: there is no {what} {name!r}{suggestion(name, list(valid))}")


def leaves(value: Any, path: str = "", pattern: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yields (path, pattern, value) for every scalar below a dataclass, mapping or tuple."""
    if dataclasses.is_dataclass(value):
        children = [(f.name, f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        children = [(str(key), "*", item) for key, item in value.items()]
    elif isinstance(value, tuple):
        children = [(str(index), "*", item) for index, item in enumerate(value)]
    else:
        yield path, pattern, value
        return
    for name, wildcard, child in children:
        where = f"{path}[{name}]" if isinstance(value, tuple) else f"{path}.{name}".lstrip(".")
        yield from leaves(child, where, f"{pattern}.{wildcard}".lstrip("."))


def _general_rule(value: Any) -> Rule:
    if isinstance(value, float):
        return Rule("a finite number", math.isfinite)
    if isinstance(value, int):
        return Rule("a number that fits into 64 bits", lambda number: abs(number) < 2**63)
    if isinstance(value, str):
        expected = f"at most {MAX_TEXT:,} printable characters"
        return Rule(expected, lambda text: text.isprintable() and len(text) <= MAX_TEXT)
    return Rule("", lambda _: True)


def _spelled(value: Any) -> str:
    """Returns a value for a message, shortened."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"a whole number of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"
