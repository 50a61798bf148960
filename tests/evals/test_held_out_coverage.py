"""Intervals of the held-out loss cover the truth of a planted corpus as often as they say.

The corpus is packed, listed, sampled and summed by the real code; only the model is replaced: each
token id has planted nats. In every draw other clusters are held out, and of those a sample of
documents is evaluated. The truth is that of the whole corpus.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from codepretrain.data.packing.join_parts import MadeFrom, join_parts
from codepretrain.data.packing.list_held_out import documents_of
from codepretrain.data.packing.write_part import Packing, TokenizedBatch, write_part
from codepretrain.evals.cluster_ratio import ratio_over_clusters
from codepretrain.evals.document_sample import sample_documents
from codepretrain.evals.estimate import Estimate
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.metric import Metric
from codepretrain.evals.progress import Progress, no_progress
from codepretrain.evals.row_loss import DocumentSums, ScoredRows
from codepretrain.evals.scored_rows import PackedRows, StoredRows, pieces_of
from codepretrain.evals.validation_loss import ValidationLoss
from codepretrain.model.transformer import Params
from codepretrain.rows.format import Row
from codepretrain.rows.held_out import HeldOutDocuments
from codepretrain.rows.part import part_name
from codepretrain.rows.store import RowStore

NUM_IDS = 1000  # token id i costs i / 200 nats and has 1 + i % 3 bytes; 0 is bos
NUM_BYTES = np.where(np.arange(NUM_IDS), 1 + np.arange(NUM_IDS) % 3, 0)
T = 64
NUM_DRAWS = 500


def planted_tokens(
    rng: np.random.Generator, num_documents: int, *, cluster_size: int
) -> list[np.ndarray]:
    """Documents of log-normal lengths, the longest over 100 times the median.

    A document's mean is that of its cluster, plus its own, and falls with its length.
    """
    lengths = np.maximum(np.exp(rng.normal(3.5, 1.7, num_documents)).astype(int), 2)
    clusters = np.repeat(rng.normal(0, 90, -(-num_documents // cluster_size)), cluster_size)
    centers = 600 - 40 * np.log(lengths) + clusters[:num_documents]
    centers += rng.normal(0, 40, num_documents)
    return [
        np.append(0, np.clip(rng.normal(center, 250, length), 1, NUM_IDS - 1)).astype(np.int32)
        for center, length in zip(centers, lengths, strict=True)
    ]


class Corpus(NamedTuple):
    tokens: list[np.ndarray]
    store: RowStore
    documents: HeldOutDocuments


def written(folder: Path, *, cluster_size: int) -> Corpus:
    """Writes a corpus of 6,000 documents, packed into rows of 64 targets."""
    tokens = planted_tokens(np.random.default_rng(7), 6000, cluster_size=cluster_size)
    how = Packing(identity="i", packing="best_fit", max_seq_len=T, num_bytes=NUM_BYTES)
    provenance = [
        {"id": str(i), "num_bytes": int(NUM_BYTES[ids].sum())} for i, ids in enumerate(tokens)
    ]
    batch = TokenizedBatch(provenance=provenance, tokens=tokens)
    part = write_part(folder / part_name(0), [batch], number=0, how=how)
    hashes = dict.fromkeys(("identity", "documents_hash", "tokenizer_hash", "vocabulary_hash"), "i")
    made_from = MadeFrom(source="code", split="validation", **hashes)
    join_parts(
        folder,
        [part],
        made_from=made_from,
        packing="best_fit",
        max_seq_len=T,
        vocab_size=NUM_IDS,
    )
    store = RowStore(folder, source="code", split="validation")
    keys = np.arange(len(tokens), dtype=np.uint64)
    listed = documents_of(store, keys=keys, clusters=keys // np.uint64(cluster_size))
    return Corpus(tokens, store, listed)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Every document is a cluster."""
    return written(tmp_path_factory.mktemp("single"), cluster_size=1)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six documents a cluster, of which a sample has several."""
    return written(tmp_path_factory.mktemp("clustered"), cluster_size=6)


def truth(corpus: Corpus, max_tokens: int) -> tuple[float, float]:
    """Σ min(n, K) · mean over all documents, over Σ of the same: nats per token, bits per byte."""
    sums = []
    for ids in corpus.tokens:
        targets = ids[1:]
        share = min(1.0, max_tokens / len(targets)) if max_tokens else 1.0
        columns = targets.sum() / 200, len(targets), NUM_BYTES[targets].sum()
        sums.append(share * np.array(columns, float))
    nats, tokens, num_bytes = np.sum(sums, axis=0)
    return nats / tokens, nats / np.log(2) / num_bytes


class PlantedLoss:
    """In place of `RowLoss`: nats by token id."""

    def __call__(
        self, params: Params, rows: ScoredRows, num_documents: int, progress: Progress
    ) -> DocumentSums:
        sums = np.zeros((3, num_documents))
        for number in range(len(rows)):
            row, spans = rows[number]
            for document, start, stop in spans.tolist():
                targets = row.tokens[start + 1 : stop + 1]
                columns = targets.sum() / 200, len(targets), NUM_BYTES[targets].sum()
                sums[:, document] += columns
        return DocumentSums(sums[0], sums[1].astype(int), sums[2].astype(int))


def held_out(corpus: Corpus, rng: np.random.Generator) -> HeldOutDocuments:
    """Returns the documents of 5% of the clusters, in another order of their keys."""
    documents, segments = corpus.documents.documents, corpus.documents.segments
    names = np.unique(documents["cluster"])
    chosen = np.isin(documents["cluster"], names[rng.random(len(names)) < 0.05])
    counts = np.diff(documents["first_segment"], append=np.uint64(len(segments))).astype(int)
    kept = documents[chosen]
    kept["key"] = rng.integers(2**64, size=len(kept), dtype=np.uint64)
    kept["first_segment"] = np.cumsum(counts[chosen]) - counts[chosen]
    return HeldOutDocuments(kept, segments[np.repeat(chosen, counts)])


def draws(corpus: Corpus, num_documents: int, max_tokens: int) -> Iterator[EvalResult]:
    """Yields the results of 500 draws."""
    rng = np.random.default_rng(num_documents + max_tokens)
    read = functools.cache(corpus.store.__getitem__)

    def read_row(source: str, number: int) -> Row:
        return read(number)

    for draw in range(NUM_DRAWS):
        found = held_out(corpus, rng)
        sample = sample_documents(found, num_documents, max_tokens=max_tokens)
        pieces = pieces_of({"code": sample})
        rows: ScoredRows = StoredRows(pieces, read_row)
        if draw % 10 == 0:  # slower here; the sums are the same
            rows = PackedRows(pieces, read_row, max_seq_len=T)
        loss = ValidationLoss(
            PlantedLoss(),  # type: ignore[arg-type]
            rows,
            {"code": sample},
            ids={"code": list(map(str, sample.documents))},
            kinds={"code": "code"},
            vocab_size=NUM_IDS,
            identity={},
        )
        yield loss({}, no_progress)


def covers(estimate: Metric | Estimate, expected: float) -> bool:
    """Returns whether Student's 95% interval contains the expected value."""
    half = stats.t.ppf(0.975, estimate.freedom) * estimate.standard_error
    return bool(abs(estimate.value - expected) <= half)


def coverage(corpus: Corpus, num_documents: int, max_tokens: int) -> np.ndarray:
    """Returns the share of draws whose intervals cover the truth.

    Of nats per token, of bits per byte, and of nats per token if each document were a cluster.
    """
    names = "source/code/nats_per_token", "source/code/bits_per_byte"
    expected, hits = truth(corpus, max_tokens), []
    for result in draws(corpus, num_documents, max_tokens):
        hits.append([covers(result.metrics[n], e) for n, e in zip(names, expected, strict=True)])
        nats, tokens = (result.items.scores[f"{names[0]}{what}"] for what in ("", "/weight"))
        alone = ratio_over_clusters(nats, tokens, np.arange(len(nats)))
        hits[-1].append(covers(alone, expected[0]))
    return np.mean(hits, axis=0)


def test_the_corpus_has_a_heavy_tail(single: Corpus) -> None:
    """Without a cap, the documents are as good as an eighth of them, of one size, or fewer."""
    lengths = np.array([len(ids) - 1 for ids in single.tokens])
    assert lengths.max() > 100 * np.median(lengths)
    assert lengths.sum() ** 2 / np.sum(lengths**2) < len(lengths) / 8
    assert single.store.manifest.num_split_documents > 1000


@pytest.mark.parametrize("max_tokens", [128, 512])
def test_the_interval_covers_the_truth_in_95_percent_of_draws(
    single: Corpus, max_tokens: int
) -> None:
    nats, bits, _ = coverage(single, 64, max_tokens)
    assert 0.93 <= nats <= 0.97
    assert 0.93 <= bits <= 0.97


def test_with_clusters(clustered: Corpus) -> None:
    """120 documents of about 50 clusters. Taken as independent, they promise too much."""
    nats, bits, alone = coverage(clustered, 120, 128)
    assert 0.93 <= nats <= 0.97
    assert 0.93 <= bits <= 0.97
    assert alone < 0.9


@pytest.mark.parametrize("num_documents", [8, 16])
def test_few_documents(single: Corpus, num_documents: int) -> None:
    """Wide rather than wrong: Student's quantile with the degrees of freedom that are left."""
    nats, bits, _ = coverage(single, num_documents, 128)
    assert 0.93 <= nats <= 0.99
    assert 0.93 <= bits <= 0.99
