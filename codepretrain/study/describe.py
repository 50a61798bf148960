"""The output of `codepretrain plan`: the graph with all numbers known before training."""

from collections.abc import Mapping, Sequence
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.interop.import_record import ImportRecord
from codepretrain.model.size import (
    flops_per_token,
    num_parameters,
    num_parameters_non_embedding,
)
from codepretrain.stream.repetition import check_repetition, most_reads
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import AveragePhase, Phase, TrainingPhase
from codepretrain.study.imports import import_identities
from codepretrain.study.replicates import last_phases, shared_seeds
from codepretrain.study.replication import replication
from codepretrain.study.source_sizes import SourceSize


def describe(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    *,
    source_sizes: Mapping[str, SourceSize],
    imports: Mapping[str, ImportRecord | None],
) -> dict[str, Any]:
    """Returns the plan as JSON-ready values; `tokens` counts row positions.

    Phases with one fingerprint are one entry, under the first name; `aliases` names the others.
    `epochs_per_source` counts the phase only, `epochs_at_end` its whole path, rows that were read
    again after a restart included. `variants` has each variant's path in the first replicate,
    `replicates` in all; `contrasts` has how many independent replicates the arms of each have.
    `most_reads_of_a_row` bounds how often the path reads any one
    row (`stream/repetition.py`). All three are None for a source that is neither prepared nor
    declares its `num_tokens`.
    `parents` has every phase that a phase needs. A phase of kind "average" has `members`, each with
    its step and weight, and no `parent`; it reads no tokens. `data_order` "restart": the phase
    reads each source from its beginning, "continue": from where the parent stopped.
    """
    rows = {source: size.identity for source, size in source_sizes.items()}
    prints = fingerprints(config, phases, rows=rows, imports=import_identities(imports))
    names = _first_names(prints)
    return {
        "study": config.name,
        "phases": [
            {
                **_describe_phase(config, phase, source_sizes=source_sizes),
                **_describe_origins(phase, {p: names[prints[p]] for p in phases}),
                "aliases": [n for n in phases if n != name and prints[n] == prints[name]],
                "fingerprint": prints[name],
                "fingerprint_is_provisional": not _is_settled(phase, source_sizes, imports),
            }
            for name, phase in phases.items()
            if names[prints[name]] == name
        ],
        "unread_sources": _unread_sources(config, phases),
        "held_out_sources": [s for s, of in config.data.sources.items() if of.split == "held_out"],
        "variants": {
            variant: [names[prints[phase.name]] for phase in phases[last].path]
            for variant, last in config.variants.items()
        },
        "shared_seeds": shared_seeds(config),
        "replicates": {
            variant: [
                [names[prints[phase.name]] for phase in phases[last].path]
                for last in last_phases(config, variant)
            ]
            for variant in config.variants
        },
        "contrasts": _describe_contrasts(config, phases, prints),
        "tokens_of_one_replicate": sum(
            phases[name].tokens for name in set(names.values()) if not phases[name].replicate
        ),
    }


def _describe_contrasts(
    config: StudyConfig, phases: Mapping[str, Phase], prints: Mapping[str, str]
) -> dict[str, Any]:
    found = {
        name: replication(config, phases, prints, list(contrast.arms))
        for name, contrast in config.contrasts.items()
    }
    return {
        name: {"replicates": of.counts, "is_from_one_checkpoint": of.is_from_one_checkpoint}
        for name, of in found.items()
    }


def check_caps(
    config: StudyConfig, phases: Mapping[str, Phase], *, source_sizes: Mapping[str, SourceSize]
) -> None:
    """Raises UserError for the first phase that would read a source past its repetition cap."""
    for name, phase in phases.items():
        draws = _draws_at_end(phase)
        check_repetition(
            phase=name,
            draws=draws,
            tokens_held={s: source_sizes[s].num_tokens for s in draws},
            max_epochs={s: config.data.sources[s].max_epochs for s in draws},
            max_seq_len=config.data.max_seq_len,
        )


def _first_names(prints: Mapping[str, str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, fingerprint in prints.items():
        names.setdefault(fingerprint, name)
    return names


def _is_settled(
    phase: Phase,
    source_sizes: Mapping[str, SourceSize],
    imports: Mapping[str, ImportRecord | None],
    step: int | None = None,
) -> bool:
    """Returns whether all that decides a phase's state is known: at its end, or after `step`."""
    if isinstance(phase, TrainingPhase):
        initial = phase.config.initial_checkpoint
        if initial is not None and imports[initial] is None:
            return False
        read = phase.prefix(phase.num_steps if step is None else step).rows
        if not all(source_sizes[source].is_prepared for source in read):
            return False
    return all(_is_settled(o.phase, source_sizes, imports, o.step) for o in phase.origins)


def _describe_origins(phase: Phase, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns what a phase starts from.

    names: phase → the first name of its fingerprint.
    """
    origins = [(names[origin.phase.name], origin) for origin in phase.origins]
    is_average = isinstance(phase, AveragePhase)
    parent = None if is_average or not origins else origins[0][1]
    return {
        "kind": phase.config.kind,
        "parents": list(dict.fromkeys(name for name, _ in origins)),
        "members": [
            {"phase": name, "step": member.step, "weight": member.weight}
            for name, member in origins
            if is_average
        ],
        "parent": origins[0][0] if parent else None,
        "parent_step": parent.step if parent else None,
        "parent_tokens": _parent_tokens(phase),
        "requested_parent_tokens": phase.config.parent_tokens,
        "parent_is_at_its_end": parent is None or parent.step == parent.phase.num_steps,
        "data_order": phase.config.data_order,
        "initial_checkpoint": phase.config.initial_checkpoint,
    }


def _parent_tokens(phase: Phase) -> int:
    """Returns the tokens of the parent alone, up to the branch point."""
    if isinstance(phase, AveragePhase) or phase.parent is None:
        return 0
    return phase.tokens_before - phase.parent.tokens_before


def _describe_phase(
    config: StudyConfig, phase: Phase, *, source_sizes: Mapping[str, SourceSize]
) -> dict[str, Any]:
    tokens = {s: rows * phase.max_seq_len for s, rows in phase.rows_per_source().items() if rows}
    draws = _draws_at_end(phase)
    return {
        "name": phase.name,
        "replicate": phase.replicate,
        "steps": phase.num_steps,
        "tokens": phase.tokens,
        "requested_tokens": phase.requested_tokens,
        "tokens_before": phase.tokens_before,
        "tokens_per_source": tokens,
        "epochs_per_source": {s: _epochs(n, source_sizes[s]) for s, n in tokens.items()},
        "epochs_at_end": {
            s: _epochs(sum(rows) * phase.max_seq_len, source_sizes[s]) for s, rows in draws.items()
        },
        "most_reads_of_a_row": {
            s: _most_reads(phase, rows, source_sizes[s]) for s, rows in draws.items()
        },
        "learning_rate": _learning_rates(phase) if isinstance(phase, TrainingPhase) else {},
        "parameters": num_parameters(config.model),
        "parameters_non_embedding": num_parameters_non_embedding(config.model),
        "flops_per_token": flops_per_token(config.model, config.data.max_seq_len),
    }


def _learning_rates(phase: TrainingPhase) -> dict[str, float]:
    # The rate is monotonic between these steps.
    warmup = min(phase.schedule.warmup_steps, phase.num_steps - 1)
    rates = [phase.learning_rate(step) for step in sorted({0, warmup, phase.num_steps - 1})]
    return {
        "start": rates[0],
        "peak": max(rates),
        "end": rates[-1],
        "warmup_steps": phase.schedule.warmup_steps,
    }


def _draws_at_end(phase: Phase) -> dict[str, tuple[int, ...]]:
    """Returns what each cursor of the path has drawn of the sources that the phase reads."""
    read = {source for source, rows in phase.rows_per_source().items() if rows}
    return {s: rows for s, rows in phase.draws_at(phase.num_steps).items() if s in read}


def _most_reads(phase: Phase, draws: Sequence[int], size: SourceSize) -> int | None:
    if not size.num_tokens:
        return None
    return most_reads(draws, tokens_held=size.num_tokens, max_seq_len=phase.max_seq_len)


def _epochs(tokens: int, size: SourceSize) -> float | None:
    return tokens / size.num_tokens if size.num_tokens else None


def _unread_sources(config: StudyConfig, phases: Mapping[str, Phase]) -> list[str]:
    read = {s for phase in phases.values() for s, rows in phase.rows_per_source().items() if rows}
    return [source for source in config.data.sources if source not in read]
