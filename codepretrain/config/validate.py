"""Checks of a study that involve several fields. They run before anything else.

`check` needs no data, no files and no devices. The valid values of single fields are in
`config/values.py`. Schedules depend on their phases and are checked where those are resolved
(`optim/schedules.py`).
"""

from collections.abc import Mapping

from codepretrain.config.averages import check_averages
from codepretrain.config.contrasts import check_contrasts, check_pareto
from codepretrain.config.parse import suggestion
from codepretrain.config.phases import check_phase
from codepretrain.config.replicates import check_replicates
from codepretrain.config.schema import DataConfig, EvaluatorConfig, StudyConfig
from codepretrain.config.values import NAME, check_reference, check_values, require
from codepretrain.errors import UserError

_MAX_SOURCES = 255  # an index into the sources is one byte
_SPECIAL_TOKENS, _MARKERS, _BYTES = 3, 10, 256  # entries of a tokenizer that is trained


def check(config: StudyConfig) -> None:
    """Raises UserError, with field, value and what was expected, for a study that cannot run."""
    check_values(config)
    _check_names(config)
    _check_model(config)
    _check_tokenizer(config)
    _check_deduplication(config.data)
    for name, evaluator in config.evals.items():
        _check_interval(config, name, evaluator)
        _check_benchmarks(config, name, evaluator)
    check_averages(config)
    for name, phase in config.phases.items():
        check_phase(config, name, phase)
    for name, phase_name in config.variants.items():
        check_reference(f"config.variants.{name}", phase_name, config.phases, "phase")
    check_replicates(config)
    check_contrasts(config)
    check_pareto(config)
    if config.baseline is not None:
        check_reference("config.baseline", config.baseline, config.variants, "variant")


def check_import_name(path: str, name: str) -> None:
    """Raises UserError for a name that an imported checkpoint cannot have."""
    require(NAME, path, name)


def _check_deduplication(data: DataConfig) -> None:
    settings = data.deduplication
    for field in ("priority", "keep_near"):
        for i, source in enumerate(getattr(settings, field)):
            path = f"config.data.deduplication.{field}[{i}]"
            check_reference(path, source, data.sources, "source")
    if settings.keep_near and settings.near in ("ignore", "keep"):
        raise UserError(
            f"config.data.deduplication.keep_near: near={settings.near!r} keeps the similar texts "
            "of all sources; remove keep_near, or set near to drop_within or drop_across"
        )


def _check_names(config: StudyConfig) -> None:
    groups: Mapping[str, Mapping[str, object]] = {
        "phases": config.phases,
        "variants": config.variants,
        "data.sources": config.data.sources,
        "evals": config.evals,
        "contrasts": config.contrasts,
        "data.decontamination.benchmarks": config.data.decontamination.benchmarks,
    }
    may_be_empty = ("evals", "contrasts", "data.decontamination.benchmarks")
    for group, entries in groups.items():
        if not entries and group not in may_be_empty:
            raise UserError(f"config.{group}: expected at least one entry, got none")
        for name in entries:
            require(NAME, f"config.{group}", name)
    if len(config.data.sources) > _MAX_SOURCES:
        raise UserError(
            f"config.data.sources: expected at most {_MAX_SOURCES} sources, "
            f"got {len(config.data.sources):,}"
        )


def _check_model(config: StudyConfig) -> None:
    model = config.model
    if model.num_heads % model.num_kv_heads:
        raise UserError(
            f"config.model.num_heads = {model.num_heads} is not divisible by "
            f"config.model.num_kv_heads = {model.num_kv_heads}"
        )
    batch_size, microbatches = config.training.batch_size, config.execution.num_microbatches
    if batch_size % microbatches:
        raise UserError(
            f"config.training.batch_size = {batch_size:,} is not divisible by "
            f"config.execution.num_microbatches = {microbatches:,}"
        )


def _check_tokenizer(config: StudyConfig) -> None:
    tokenizer = config.data.tokenizer
    path = "config.data.tokenizer"
    if tokenizer.vocab_size > config.model.vocab_size:
        raise UserError(
            f"{path}.vocab_size = {tokenizer.vocab_size} exceeds config.model.vocab_size = "
            f"{config.model.vocab_size}: the model would lack embeddings"
        )
    smallest = _BYTES + _SPECIAL_TOKENS + _MARKERS
    if tokenizer.path is None and tokenizer.vocab_size < smallest:
        raise UserError(
            f"{path}.vocab_size = {tokenizer.vocab_size}: expected {smallest} or more, the "
            f"{_BYTES} bytes, {_SPECIAL_TOKENS} special tokens and {_MARKERS} rendering markers"
        )
    weights = tokenizer.training_weights
    for source in weights:
        check_reference(f"{path}.training_weights.{source}", source, config.data.sources, "source")
    if not any(weights.get(source, 1.0) for source in config.data.sources):
        raise UserError(f"{path}.training_weights: expected at least one source above 0")
    if tokenizer.bos_token == tokenizer.eos_token:
        raise UserError(
            f"{path}.bos_token and {path}.eos_token are both {tokenizer.bos_token!r}: expected two "
            "tokens"
        )


def _check_interval(config: StudyConfig, name: str, evaluator: EvaluatorConfig) -> None:
    path, tokens = f"config.evals.{name}", evaluator.interval_tokens
    if tokens is None:
        return
    if evaluator.interval_steps is not None:
        raise UserError(
            f"{path} has both interval_steps = {evaluator.interval_steps:,} and interval_tokens = "
            f"{tokens:,}: expected one of them"
        )
    step_tokens = config.training.batch_size * config.data.max_seq_len
    if tokens < step_tokens:
        raise UserError(
            f"{path}.interval_tokens = {tokens:,} is less than one step of {step_tokens:,} tokens "
            f"(batch_size {config.training.batch_size:,} × max_seq_len {config.data.max_seq_len:,})"
        )


def _check_benchmarks(config: StudyConfig, name: str, evaluator: EvaluatorConfig) -> None:
    if evaluator.allow_contamination:
        return
    known = config.data.decontamination.benchmarks
    for i, benchmark in enumerate(evaluator.benchmarks):
        if benchmark not in known:
            raise UserError(
                f"config.evals.{name}.benchmarks[{i}]: expected an entry of "
                f"config.data.decontamination.benchmarks, found {benchmark!r}"
                f"{suggestion(benchmark, list(known))}; add config.data.decontamination.benchmarks."
                f"{benchmark} with the file of its texts, or set "
                f"config.evals.{name}.allow_contamination"
            )
