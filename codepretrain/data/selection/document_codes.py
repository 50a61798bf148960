"""What becomes of every document: one code each, decided from the keys of all sources.

    over limit > contaminated > held-out copy > exact dup. > near dup. > validation > train

A document has the first code of this list that applies to it. Documents over a source's limit count
as not read: they affect no other document. Contaminated ones are never the copy that is kept, but
their groups follow the split of the texts that are equal or similar. Held-out copies are what other
sources share with a source that is held out as a whole (`whole_sources.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from codepretrain.config.schema import DeduplicationConfig
from codepretrain.data.selection.components import joins_of
from codepretrain.data.selection.duplicates import cluster_of, exact_duplicates, near_duplicates
from codepretrain.data.selection.split import Split, split_groups
from codepretrain.data.selection.whole_sources import BY_GROUP, held_out_copies

TRAIN, VALIDATION, EXACT_DUPLICATE, NEAR_DUPLICATE, CONTAMINATED, OVER_LIMIT = range(6)
HELD_OUT_COPY = 6
# The name of each code, in manifests.
CODES = (
    "train",
    "validation",
    "exact_duplicate",
    "near_duplicate",
    "contaminated",
    "over_limit",
    "held_out_copy",
)


_NO_JOINS = np.empty((0, 2), np.uint64)


@dataclass(frozen=True)
class Decision:
    """The code of every document, and counts.

    codes: of each source, [num_documents] uint8. components: of each source, the component of the
    split that each held-out document is in, in order, [num_held_out] uint64. num_joins: pairs of
    groups that follow one split, because they share a text, exactly or nearly, or a document says
    so.
    """

    codes: Mapping[str, np.ndarray]
    components: Mapping[str, np.ndarray]
    num_joins: int
    num_components: int
    num_too_large: int


def decide(
    keys: Mapping[str, np.ndarray],
    contaminated: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    settings: DeduplicationConfig,
    *,
    fraction: float,
    joins: np.ndarray = _NO_JOINS,
    splits: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """Decides the codes of all documents.

    Beside the keys it needs about 70 bytes a document, and 55 for each of `joins`.

    Args:
      keys: of each source, see `data/keys.py`.
      contaminated: of each source, whether each document within the source's limit contains text of
        an evaluation set, [num_within_limit] bool. All others are over the limit.
      clusters: of similar texts, see `data/selection/duplicates.py`.
      fraction: expected share of components that are held out.
      joins: pairs of groups that follow one split beyond those that share a text: [n, 2] uint64.
      splits: `SourceConfig.split` of sources; others are split by group.
    """
    sources = by_priority(keys, settings.priority)
    within = [keys[source][: len(contaminated[source])] for source in sources]
    codes = [np.full(len(found), TRAIN, np.uint8) for found in within]
    for code, source in zip(codes, sources, strict=True):
        code[contaminated[source]] = CONTAMINATED
    chosen_splits = [splits.get(source, BY_GROUP) for source in sources]
    groups = [found["group"] for found in within]
    labels = [cluster_of(clusters, found["text"]) for found in within]
    copies = held_out_copies(groups, labels, chosen_splits, joins)
    _mark(codes, _both(copies, _undecided(codes)), HELD_OUT_COPY)
    if settings.exact != "keep":
        across = settings.exact == "drop_across"
        _mark(codes, exact_duplicates(within, _undecided(codes), across=across), EXACT_DUPLICATE)
    if settings.near not in ("keep", "ignore"):
        across = settings.near == "drop_across"
        is_open = [source not in settings.keep_near for source in sources]
        candidates = [
            found & dropping for found, dropping in zip(_undecided(codes), is_open, strict=True)
        ]
        dropped = near_duplicates(within, candidates, clusters, across=across)
        _mark(codes, dropped, NEAR_DUPLICATE)
    joins = np.concatenate([joins_of(labels, groups), joins])
    split = _split(groups, labels, codes, joins, fraction, chosen_splits)
    return Decision(
        codes={
            source: np.pad(code, (0, len(keys[source]) - len(code)), constant_values=OVER_LIMIT)
            for source, code in zip(sources, codes, strict=True)
        },
        components=dict(zip(sources, split.components, strict=True)),
        num_joins=len(joins),
        num_components=split.num_components,
        num_too_large=split.num_too_large,
    )


def with_all_codes(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Returns source → code → count: of a selection made before there were held-out copies, too."""
    return {source: dict.fromkeys(CODES, 0) | {**found} for source, found in counts.items()}


def by_priority(sources: Mapping[str, object], priority: Sequence[str]) -> list[str]:
    """Returns the sources in the order in which their copies are preferred."""
    first = [source for source in priority if source in sources]
    return [*first, *sorted(sources.keys() - set(first))]


def _split(
    groups: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    codes: Sequence[np.ndarray],
    joins: np.ndarray,
    fraction: float,
    splits: Sequence[str],
) -> Split:
    """Marks the held-out documents among those that are kept, and returns the split of these."""
    kept = [np.flatnonzero(code == TRAIN) for code in codes]
    groups, labels = (
        [found[places] for found, places in zip(values, kept, strict=True)]
        for values in (groups, labels)
    )
    split = split_groups(groups, joins, fraction, splits=splits, labels=labels)
    for code, places, held_out in zip(codes, kept, split.held_out, strict=True):
        code[places[held_out]] = VALIDATION
    return split


def _undecided(codes: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [code == TRAIN for code in codes]


def _both(marks: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [mark & other for mark, other in zip(marks, others, strict=True)]


def _mark(codes: Sequence[np.ndarray], chosen: Sequence[np.ndarray], value: int) -> None:
    for code, places in zip(codes, chosen, strict=True):
        code[places] = value
