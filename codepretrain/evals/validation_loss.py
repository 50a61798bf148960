"""Loss on held-out documents: per source, per kind of source, and over all sources.

Documents are the sample, `num_examples` of each source (`document_sample.py`). Per source the loss
is Σ nats / Σ tokens, and Σ bits / Σ bytes of text, which does not depend on the tokenizer, over the
same tokens: those of each document, at most `max_tokens_per_document`. Both estimate the ratio over
all held-out documents of the source, each cut alike. Standard errors are over clusters of documents
that were held out together (`cluster_ratio.py`).

A kind is the average of its sources, and `all` is the average of the kinds. Each source is weighted
by what all its held-out documents would count: by tokens for nats per token, by bytes for bits per
byte. So both estimate Σ / Σ over all held-out documents, for any number of documents read per
source. An average over a single source would repeat it and is omitted.

`docs/held_out_loss.md` has the reasons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.cluster_ratio import (
    ClusterErrors,
    average_over_strata,
    cluster_errors,
)
from codepretrain.evals.document_sample import DocumentSample, sample_documents
from codepretrain.evals.estimate import Estimate
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.loss_groups import loss_groups
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.evals.scored_rows import PackedRows, StoredRows, pieces_of
from codepretrain.files.hashing import sha256_json
from codepretrain.rows.format import Row

if TYPE_CHECKING:
    from codepretrain.evals.resources import Resources
    from codepretrain.evals.row_loss import DocumentSums, RowLoss, ScoredRows
    from codepretrain.model.transformer import Params

NATS_PER_TOKEN = MetricSpec(
    name="*/nats_per_token", unit="nats/token", direction="lower", cluster="group", is_primary=True
)
BITS_PER_BYTE = MetricSpec(
    name="*/bits_per_byte", unit="bits/byte", direction="lower", cluster="group"
)
EFFECTIVE_GROUPS = MetricSpec(
    name="source/*/effective_groups", unit="groups", direction=None, cluster="group"
)
GRADER = "2"  # increase it with every change that can change a loss or an average


@dataclass(frozen=True, kw_only=True)
class ValidationLossOptions:
    """`num_examples` is the number of documents per source.

    `sources` are names separated by commas, by default all but those of split "train". One group,
    such as one repository, is not held out unless its whole source is. A document of more than
    `max_tokens_per_document` tokens counts with a window of as many, so that no document has most
    of the tokens; 0 counts all tokens of all documents.
    """

    sources: str = ""
    max_tokens_per_document: int = 2048


class ValidationLoss:
    """Params → loss on a sample of held-out documents of each source, always the same.

    Metrics: `source/<source>/<measure>`, `kind/<kind>/<measure>` and `all/<measure>` with measure
    `nats_per_token` or `bits_per_byte`. Null values are those of a uniform guess over the
    vocabulary. `source/<source>/effective_groups` is the number of groups of equal size that would
    have the same sum of squared shares of the tokens (Kish).
    """

    def __init__(
        self,
        row_loss: "RowLoss",
        rows: "ScoredRows",
        samples: Mapping[str, DocumentSample],
        *,
        ids: Mapping[str, Sequence[str]],
        kinds: Mapping[str, str],
        vocab_size: int,
        identity: Mapping[str, str],
    ) -> None:
        """The documents in `rows` are numbered over all samples, in order.

        Args:
          samples, ids, kinds: by source; the sampled documents, their ids, the source's kind.
          identity: of the model's input beside the documents.
        """
        self._row_loss = row_loss
        self._rows = rows
        self._samples = samples
        self._nats_of_a_guess = math.log(vocab_size)
        self._groups = loss_groups({source: kinds[source] for source in samples})
        counts = [len(sample) for sample in samples.values()]
        self._source_of = np.repeat(np.array(list(samples)), counts)
        self._ids = [f"{source}/{name}" for source in samples for name in ids[source]]
        self._clusters = np.concatenate([sample.clusters for sample in samples.values()])
        described = {source: sample.describe() for source, sample in samples.items()}
        items = sha256_json({"ids": self._ids, "documents": described})
        self.identity = {
            "items": items,
            "settings": sha256_json(
                {
                    source: [kinds[source], sample.total_targets, round(sample.total_bytes)]
                    for source, sample in samples.items()
                }
            ),
            "grader": GRADER,
            **identity,
        }
        self.warnings = tuple(
            f"{source!r}: {line}"
            for source, sample in samples.items()
            for line in sample.warnings()
        )

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        sums = self._row_loss(params, self._rows, len(self._ids), progress)
        self._check(sums)
        tokens, num_bytes = sums.num_targets.astype(np.float64), sums.num_bytes.astype(np.float64)
        totals = [
            {source: getattr(sample, name) for source, sample in self._samples.items()}
            for name in ("total_targets", "total_bytes")
        ]
        metrics: dict[str, Metric] = {}
        scores: dict[str, np.ndarray] = {}
        for group, sources in self._groups.items():
            for spec, scale, denominators, total in (
                (NATS_PER_TOKEN, 1.0, tokens, totals[0]),
                (BITS_PER_BYTE, 1 / math.log(2), num_bytes, totals[1]),
            ):
                weights = [total[source] for source in sources]
                estimate, null = (
                    average_over_strata(self._strata(sources, scale * nats, denominators), weights)
                    for nats in (sums.nats, tokens * self._nats_of_a_guess)
                )
                name = spec.name.replace("*", group)
                metrics[name] = spec.metric(estimate, null_value=null.value)
                scores |= self._scores(name, sources, scale * sums.nats, denominators, weights)
            if len(sources) == 1:
                metrics[f"{group}/effective_groups"] = self._effective_groups(sources[0])
        return EvalResult(metrics, self._items(scores, sums))

    def _check(self, sums: "DocumentSums") -> None:
        """Compares what was scored with what the list of held-out documents says."""
        samples = self._samples.values()
        counted, targets, expected = (
            np.concatenate([getattr(sample, name) for sample in samples])
            for name in ("num_counted", "num_targets", "num_bytes")
        )
        assert np.array_equal(sums.num_targets, counted), "other targets than the sample's"
        is_whole = counted == targets
        assert np.array_equal(sums.num_bytes[is_whole], expected[is_whole]), "other bytes"

    def _strata(
        self, sources: Sequence[str], numerators: np.ndarray, denominators: np.ndarray
    ) -> list[ClusterErrors]:
        strata = []
        for source in sources:
            is_ours = self._source_of == source
            columns = numerators[is_ours], denominators[is_ours], self._clusters[is_ours]
            strata.append(cluster_errors(*columns))
        return strata

    def _scores(
        self,
        name: str,
        sources: Sequence[str],
        numerators: np.ndarray,
        denominators: np.ndarray,
        weights: Sequence[float],
    ) -> dict[str, np.ndarray]:
        """Returns a metric's scores of all documents; NaN for those of other sources.

        In an average, numerators and denominators of a source are scaled together to make the
        denominators sum to the source's weight. So Σ / Σ over all documents is the average.
        """
        scores = {what: np.full(len(self._ids), np.nan) for what in ("", "/weight", "/stratum")}
        for stratum, (source, weight) in enumerate(zip(sources, weights, strict=True)):
            is_ours = self._source_of == source
            scale = weight / denominators[is_ours].sum() if len(sources) > 1 else 1.0
            scores[""][is_ours] = scale * numerators[is_ours]
            scores["/weight"][is_ours] = scale * denominators[is_ours]
            scores["/stratum"][is_ours] = stratum
        if len(sources) == 1:
            del scores["/stratum"]
        return {f"{name}{what}": values for what, values in scores.items()}

    def _effective_groups(self, source: str) -> Metric:
        sample = self._samples[source]
        count = len(sample.cluster_sizes)
        return EFFECTIVE_GROUPS.metric(
            Estimate(sample.effective_clusters, 0.0, count, num_items=len(sample))
        )

    def _items(self, scores: Mapping[str, np.ndarray], sums: "DocumentSums") -> ItemScores:
        clusters = [f"{cluster:016x}" for cluster in self._clusters.tolist()]
        columns = (column.tolist() for column in sums)
        records = [
            {"id": name, "cluster": cluster, "nats": nats, "tokens": tokens, "bytes": num_bytes}
            for name, cluster, nats, tokens, num_bytes in zip(
                self._ids, clusters, *columns, strict=True
            )
        ]
        return ItemScores(self._ids, scores, records, clusters)


def _chosen_sources(request: Request[ValidationLossOptions], config: StudyConfig) -> list[str]:
    """Returns the sources of the option. Raises UserError for one that the study lacks."""
    sources = config.data.sources
    chosen = [name.strip() for name in request.options.sources.split(",") if name.strip()]
    for name in chosen:
        if name not in sources:
            raise UserError(
                f"{request.path}.options.sources: there is no source {name!r}"
                f"{suggestion(name, list(sources))}"
            )
        if sources[name].split == "train":
            raise UserError(
                f"{request.path}.options.sources: {name!r} holds out nothing (its split is 'train')"
            )
    return chosen or [name for name, found in sources.items() if found.split != "train"]


def _check(request: Request[ValidationLossOptions]) -> None:
    if request.options.max_tokens_per_document < 0:
        raise UserError(
            f"{request.path}.options.max_tokens_per_document: expected a number of tokens, or 0 "
            f"for all, got {request.options.max_tokens_per_document}"
        )


def _check_study(request: Request[ValidationLossOptions], config: StudyConfig) -> None:
    _chosen_sources(request, config)


def _subjects(request: Request[ValidationLossOptions], config: StudyConfig) -> list[str]:
    kinds = {name: config.data.sources[name].kind for name in _chosen_sources(request, config)}
    return list(loss_groups(kinds))


def _build(request: Request[ValidationLossOptions], resources: "Resources") -> ValidationLoss:
    config, options = resources.config, request.options
    stores = resources.held_out_rows(_chosen_sources(request, config))
    samples = {
        source: sample_documents(
            found, request.num_examples, max_tokens=options.max_tokens_per_document
        )
        for source, found in resources.held_out_documents(stores).items()
    }
    pieces = pieces_of(samples)

    def read_row(source: str, number: int) -> Row:
        return stores[source][number]

    masks = config.training.mask_documents
    rows: ScoredRows = (
        PackedRows(pieces, read_row, max_seq_len=config.data.max_seq_len)
        if masks
        else StoredRows(pieces, read_row)
    )
    manifests = {source: store.manifest for source, store in stores.items()}
    prompts = {
        "tokenizer": sorted({manifest.vocabulary_hash for manifest in manifests.values()}),
        "rows": {} if masks else {source: found.hash for source, found in manifests.items()},
    }
    return ValidationLoss(
        resources.row_loss,
        rows,
        samples,
        ids={
            source: [stores[source].document(number)["id"] for number in sample.documents.tolist()]
            for source, sample in samples.items()
        },
        kinds={source: chosen.kind for source, chosen in config.data.sources.items()},
        vocab_size=config.model.vocab_size,
        identity={"prompts": sha256_json(prompts)},
    )


EVALUATOR = EvaluatorKind(
    name="validation_loss",
    options=ValidationLossOptions,
    metrics=(NATS_PER_TOKEN, BITS_PER_BYTE, EFFECTIVE_GROUPS),
    build=_build,
    check=_check,
    check_study=_check_study,
    subjects=_subjects,
)
