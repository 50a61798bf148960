"""The config fields of a study's data, as frozen dataclasses. Standard library only.

`config/schema.py` explains units and fingerprints, and is where other modules import these from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def _empty() -> Mapping:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """A byte-level BPE: an existing `tokenizer.json` if `path` names one, else it is trained.

    `bos_token` and `eos_token` are the names, in that file or in the one to be trained, of the
    tokens that begin and end a document. A trained one also has the rendering markers as entries
    (`data/tokenization/tokenizer.py`).

    It is trained on a sample of every source: `training_bytes_per_source` times the source's entry
    in `training_weights` (1 for a source without one), or the whole source if it has less.
    """

    path: str | None = None
    vocab_size: int = 256_000
    training_bytes_per_source: int = 100_000_000
    training_weights: Mapping[str, float] = field(default_factory=_empty)
    bos_token: str = "<bos>"
    eos_token: str = "<eos>"


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """One step that drops or redacts documents: a name in `data/filters`, and its options."""

    name: str
    options: Mapping[str, str | int | float | bool | tuple[str, ...]] = field(
        default_factory=_empty
    )


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One named stream of documents of one kind.

    `reader` is a name in `data/readers`, `options` are that reader's own arguments. `filters` are
    applied to each document in this order.
    `num_tokens` is the expected size of the source: `plan` counts epochs with it until the source
    is prepared, and with the prepared rows from then on.
    `max_epochs` is the repetition cap: by the end of any phase, its path may have read the source
    this many times on average, and no row more often than the cap rounded up
    (`stream/repetition.py`).
    `split` "by_group" holds out `data.validation_fraction` of the source's groups; "train" holds
    out none of it, "held_out" all of it. What other sources share with a source that is held out as
    a whole is left out of them: a group or a text, exactly or, unless `data.deduplication.near` is
    "ignore", nearly.
    """

    reader: str
    kind: str
    options: Mapping[str, str | int | float | bool | tuple[str, ...]] = field(
        default_factory=_empty
    )
    filters: tuple[FilterConfig, ...] = ()
    num_tokens: int | None = None
    max_epochs: float = 4.0
    split: str = "by_group"


@dataclass(frozen=True, kw_only=True)
class DeduplicationConfig:
    """Documents whose texts are equal (`exact`), or similar but not equal (`near`).

    Groups that share a text, exactly or nearly, are on one side of the split. Of the copies,
    "keep" keeps all; "drop_within" keeps one in each source; "drop_across" keeps one in the study,
    that of the source that is earliest in `priority` (sources not listed follow, by name).
    `near="ignore"` does not search for similar texts. Texts are similar if the Jaccard similarity
    of their word n-grams is estimated at `min_similarity` or more (`data/deduplicate`).
    `keep_near` names sources whose similar texts are all kept, such as commits: successive changes
    of one file are similar.
    """

    exact: str = "drop_within"
    near: str = "drop_within"
    keep_near: tuple[str, ...] = ()
    min_similarity: float = 0.7
    priority: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DecontaminationConfig:
    """Documents that contain text of an evaluation set are dropped.

    `benchmarks` maps a name to a JSONL file (or glob of files) with a field "text" per item, and
    optionally an "id". A document is dropped if it shares `ngram_words` consecutive words with an
    item (`data/decontaminate`).
    """

    benchmarks: Mapping[str, str] = field(default_factory=_empty)
    ngram_words: int = 13


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """From raw documents to rows of `max_seq_len + 1` packed token ids.

    Documents are packed in parts of `part_bytes` UTF-8 bytes, at least one document each. Parts are
    independent: workers pack them at the same time, and a rerun keeps those that are finished.
    """

    sources: Mapping[str, SourceConfig]
    max_seq_len: int
    tokenizer: TokenizerConfig = TokenizerConfig()
    packing: str = "best_fit"
    validation_fraction: float = 0.01
    deduplication: DeduplicationConfig = DeduplicationConfig()
    decontamination: DecontaminationConfig = DecontaminationConfig()
    part_bytes: int = 128 * 2**20
