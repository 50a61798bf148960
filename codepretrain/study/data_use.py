"""How often the phases of a study read each source, for the description of its data."""

from collections.abc import Mapping
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.stream.repetition import most_reads
from codepretrain.study.graph import Phase
from codepretrain.study.source_sizes import SourceSize


def data_use(
    config: StudyConfig, phases: Mapping[str, Phase], *, source_sizes: Mapping[str, SourceSize]
) -> dict[str, Any]:
    """Returns JSON-ready values; tokens count row positions, as in `plan`.

    available: source → tokens of its training rows. phases: what each draws by itself. variants:
    what the path to the end of each draws in all, rows that are read again after a restart
    included. Both are of the first replicate: the others draw as much, in another order. Epochs are
    tokens drawn per token available; `most_reads` bounds how often any one row is read
    (`stream/repetition.py`).
    """
    available = {source: size.num_tokens for source, size in source_sizes.items()}
    return {
        "available": available,
        "phases": [
            _phase_use(phase, available) for phase in phases.values() if not phase.replicate
        ],
        "variants": [
            _variant_use(config, variant, phases[last], available)
            for variant, last in config.variants.items()
        ],
    }


def _phase_use(phase: Phase, available: Mapping[str, int | None]) -> dict[str, Any]:
    rows = {source: count for source, count in phase.rows_per_source().items() if count}
    return {
        "name": phase.name,
        "parent": ", ".join(dict.fromkeys(o.phase.name for o in phase.origins)) or None,
        "tokens": phase.tokens,
        "sources": {
            source: {
                "tokens": count * phase.max_seq_len,
                "share": count / sum(rows.values()),
                "epochs": _epochs(count * phase.max_seq_len, available[source]),
            }
            for source, count in rows.items()
        },
    }


def _variant_use(
    config: StudyConfig, variant: str, last: Phase, available: Mapping[str, int | None]
) -> dict[str, Any]:
    draws = {s: rows for s, rows in last.draws_at(last.num_steps).items() if sum(rows)}
    return {
        "variant": variant,
        "phases": [phase.name for phase in last.path],
        "tokens": last.tokens_before + last.tokens,
        "sources": {
            source: {
                "tokens": sum(rows) * last.max_seq_len,
                "epochs": _epochs(sum(rows) * last.max_seq_len, available[source]),
                "most_reads": most_reads(rows, tokens_held=held, max_seq_len=last.max_seq_len)
                if (held := available[source])
                else None,
                "max_epochs": config.data.sources[source].max_epochs,
            }
            for source, rows in draws.items()
        },
    }


def _epochs(tokens: int, available: int | None) -> float | None:
    return tokens / available if available else None
