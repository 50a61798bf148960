"""What must hold between the fields of a study, checked before anything else happens.

`check` needs no data, no files and no devices. Schedules are checked where they are resolved
(`optim/schedules.py`), since they depend on the phases they stand in.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import PhaseConfig, StudyConfig
from codepretrain.errors import UserError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CHOICES = {
    "model.compute_dtype": ("bfloat16", "float32"),
    "optimizer.first_moment_dtype": ("float32", "bfloat16"),
    "execution.gradient_reduction_dtype": ("float32", "bfloat16"),
    "data.packing": ("best_fit", "concatenate"),
}
_POSITIVE = (
    "model.vocab_size",
    "model.d_model",
    "model.num_layers",
    "model.num_heads",
    "model.num_kv_heads",
    "model.head_dim",
    "model.d_ff",
    "model.rope_base",
    "model.norm_epsilon",
    "model.logit_scale",
    "data.max_seq_len",
    "data.rows_per_shard",
    "data.tokenizer.vocab_size",
    "data.tokenizer.training_bytes_per_source",
    "training.batch_size",
    "training.spike_factor",
    "training.max_consecutive_skips",
    "optimizer.epsilon",
    "optimizer.max_gradient_norm",
    "execution.num_microbatches",
    "execution.loss_vocab_block",
    "execution.loss_token_block",
    "execution.prefetch_batches",
    "execution.reader_threads",
    "checkpoint.temporary_interval_s",
    "checkpoint.num_temporary",
    "logging.interval_steps",
)
_NOT_NEGATIVE = ("seed", "optimizer.weight_decay", "training.z_loss_coefficient")
_BELOW_ONE = ("optimizer.beta1", "optimizer.beta2", "data.validation_fraction")


def check(config: StudyConfig) -> None:
    """Raises UserError, naming field, value and what was expected, for a study that cannot run."""
    _check_values(config)
    _check_names(config)
    _check_model(config)
    for name, phase in config.phases.items():
        _check_phase(config, name, phase)
    for name, phase_name in config.variants.items():
        _check_reference(f"config.variants.{name}", phase_name, config.phases, "phase")
    if config.baseline is not None:
        _check_reference("config.baseline", config.baseline, config.variants, "variant")


def _check_values(config: StudyConfig) -> None:
    for path, choices in _CHOICES.items():
        value = _get(config, path)
        if value not in choices:
            near = suggestion(value, choices)
            raise UserError(
                f"config.{path}: expected one of {', '.join(choices)}, got {value!r}{near}"
            )
    for path in _POSITIVE:
        _require(_get(config, path) > 0, f"config.{path}", "a positive number", _get(config, path))
    for path in _NOT_NEGATIVE:
        _require(_get(config, path) >= 0, f"config.{path}", "zero or more", _get(config, path))
    for path in _BELOW_ONE:
        value = _get(config, path)
        _require(0 <= value < 1, f"config.{path}", "a number in [0, 1)", value)
    mfu, price = config.cost.mfu, config.cost.price_per_chip_hour
    _require(0 < mfu <= 1, "config.cost.mfu", "a share in (0, 1]", mfu)
    _require(price is None or price >= 0, "config.cost.price_per_chip_hour", "zero or more", price)
    for name, evaluator in config.evals.items():
        path = f"config.evals.{name}"
        _require(evaluator.num_examples > 0, f"{path}.num_examples", "a positive number", 0)
        interval = evaluator.interval_steps
        _require(interval is None or interval > 0, f"{path}.interval_steps", "positive", interval)
    for path in ("execution.attention_block_q", "execution.attention_block_kv"):
        size = _get(config, path)
        _require(size is None or size > 0, f"config.{path}", "a positive number or None", size)
    interval = config.checkpoint.permanent_interval_steps
    path = "config.checkpoint.permanent_interval_steps"
    _require(interval is None or interval > 0, path, "a positive number or None", interval)


def _check_names(config: StudyConfig) -> None:
    groups = {
        "name": [config.name],
        "phases": config.phases,
        "variants": config.variants,
        "data.sources": config.data.sources,
        "evals": config.evals,
    }
    for group, names in groups.items():
        _require(bool(names) or group == "evals", f"config.{group}", "at least one entry", {})
        for name in names:
            expected = "a name of lower-case letters, digits and _ that starts with a letter"
            _require(bool(_NAME.fullmatch(name)), f"config.{group}", expected, name)


def check_import_name(path: str, name: str) -> None:
    """Raises UserError for a name that an imported checkpoint cannot have."""
    expected = "a name of lower-case letters, digits and _ that starts with a letter"
    _require(bool(_NAME.fullmatch(name)), path, expected, name)


def _check_model(config: StudyConfig) -> None:
    model, tokenizer = config.model, config.data.tokenizer
    if model.num_heads % model.num_kv_heads:
        raise UserError(
            f"config.model.num_kv_heads = {model.num_kv_heads} does not divide "
            f"config.model.num_heads = {model.num_heads}"
        )
    _require(model.head_dim % 2 == 0, "config.model.head_dim", "an even number", model.head_dim)
    if tokenizer.vocab_size > model.vocab_size:
        raise UserError(
            f"config.data.tokenizer.vocab_size = {tokenizer.vocab_size} exceeds "
            f"config.model.vocab_size = {model.vocab_size}: the model would lack embeddings"
        )
    batch_size, micro = config.training.batch_size, config.execution.num_microbatches
    if batch_size % micro:
        raise UserError(
            f"config.execution.num_microbatches = {micro} does not divide "
            f"config.training.batch_size = {batch_size}"
        )


def _check_phase(config: StudyConfig, name: str, phase: PhaseConfig) -> None:
    path = f"config.phases.{name}"
    step_tokens = config.training.batch_size * config.data.max_seq_len
    if phase.tokens < step_tokens / 2:
        raise UserError(
            f"{path}.tokens = {phase.tokens:,} is less than one step of {step_tokens:,} tokens "
            f"(batch_size {config.training.batch_size} × max_seq_len {config.data.max_seq_len})"
        )
    _check_weights(f"{path}.mixture", phase.mixture, config)
    previous = 0
    for i, change in enumerate(phase.mixture_changes):
        at = f"{path}.mixture_changes[{i}]"
        if not previous < change.at_tokens < phase.tokens:
            raise UserError(
                f"{at}.at_tokens = {change.at_tokens:,}: expected a position after {previous:,} "
                f"and before the phase's end at {phase.tokens:,}"
            )
        previous = change.at_tokens
        _check_weights(f"{at}.weights", change.weights, config)
    choices = ("continue", "restart")
    _require(
        phase.data_order in choices, f"{path}.data_order", " or ".join(choices), phase.data_order
    )
    decay = phase.weight_decay
    _require(decay is None or decay >= 0, f"{path}.weight_decay", "zero or more", decay)
    _check_parent(config, name, phase)


def _check_parent(config: StudyConfig, name: str, phase: PhaseConfig) -> None:
    path = f"config.phases.{name}"
    initial = phase.initial_checkpoint
    if initial is not None:
        if phase.parent is not None:
            raise UserError(
                f"{path} has both a parent and an initial_checkpoint; it can start from one only"
            )
        check_import_name(f"{path}.initial_checkpoint", initial)
    if phase.parent is None:
        if phase.parent_tokens is not None:
            raise UserError(f"{path}.parent_tokens is set, but {path}.parent is not")
        return
    _check_reference(f"{path}.parent", phase.parent, config.phases, "phase")
    seen = [name]
    parent: str | None = phase.parent
    while parent is not None:
        if parent in seen:
            raise UserError(
                f"{path}.parent: the phases form a circle: {' → '.join([*seen, parent])}"
            )
        seen.append(parent)
        _check_reference(f"config.phases.{seen[-2]}.parent", parent, config.phases, "phase")
        parent = config.phases[parent].parent
    budget = config.phases[phase.parent].tokens
    if phase.parent_tokens is not None and not 0 < phase.parent_tokens <= budget:
        raise UserError(
            f"{path}.parent_tokens = {phase.parent_tokens:,} lies outside the parent "
            f"{phase.parent!r}, which has {budget:,} tokens"
        )


def _check_weights(path: str, weights: Mapping[str, float], config: StudyConfig) -> None:
    for source, weight in weights.items():
        _check_reference(f"{path}.{source}", source, config.data.sources, "source")
        valid = math.isfinite(weight) and weight >= 0
        _require(valid, f"{path}.{source}", "a weight of zero or more", weight)
    _require(sum(weights.values()) > 0, path, "at least one positive weight", dict(weights))


def _check_reference(path: str, name: str, valid: Mapping[str, object], what: str) -> None:
    if name not in valid:
        raise UserError(f"{path}: there is no {what} {name!r}{suggestion(name, list(valid))}")


def _require(holds: bool, path: str, expected: str, value: object) -> None:
    if not holds:
        raise UserError(f"{path}: expected {expected}, got {value!r}")


def _get(config: StudyConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value
