"""Loss on held-out rows: per source, per kind of source, and over all sources.

Per source it is Σ nats / Σ target tokens, and Σ bits / Σ bytes of text, which does not depend on
the tokenizer. Standard errors treat rows as clusters, because the tokens of one row are correlated.

A kind is the average of its sources, and `all` is the average of the kinds. Each source is weighted
by all of its held-out data: by target tokens for nats per token, by bytes for bits per byte. So
both estimate Σ / Σ over all held-out data, for any number of rows read per source. An average
over a single source would repeat it and is omitted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.estimate import Estimate, ratio_of_sums, weighted_average
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.files.hashing import sha256_json
from codepretrain.rows.format import Row
from codepretrain.rows.sampling import keyed_hash, smallest
from codepretrain.rows.store import RowStore

if TYPE_CHECKING:
    from codepretrain.evals.resources import Resources
    from codepretrain.evals.row_loss import RowLoss
    from codepretrain.model.transformer import Params

NATS_PER_TOKEN = MetricSpec(
    name="*/nats_per_token", unit="nats/token", direction="lower", cluster="row", is_primary=True
)
BITS_PER_BYTE = MetricSpec(
    name="*/bits_per_byte", unit="bits/byte", direction="lower", cluster="row"
)

GRADER = "1"  # increase it with every change that can change a loss or an average


@dataclass(frozen=True, kw_only=True)
class ValidationLossOptions:
    """`num_examples` is the number of rows per source.

    `sources` are the names of the sources, separated by commas; by default all. A source that is
    one group, such as one repository, has no held-out rows.
    """

    sources: str = ""


class ValidationLoss:
    """Params → loss on a sample of `num_rows` held-out rows of each source, always the same.

    Metrics: `source/<source>/<measure>`, `kind/<kind>/<measure>` and `all/<measure>` with measure
    `nats_per_token` or `bits_per_byte`. Null values are those of a uniform guess over the
    vocabulary.
    """

    def __init__(
        self,
        row_loss: "RowLoss",
        stores: Mapping[str, RowStore],
        *,
        kinds: Mapping[str, str],
        num_rows: int,
        vocab_size: int,
    ) -> None:
        """`kinds`: source → its kind."""
        self._row_loss = row_loss
        self._stores = stores
        self._nats_of_a_guess = math.log(vocab_size)
        self._groups = _groups({source: kinds[source] for source in stores})
        self._rows = [
            (source, record)
            for source, store in stores.items()
            for record in _sample(len(store), num_rows)
        ]
        hashes = {source: store.manifest.hash for source, store in stores.items()}
        self.identity = {
            "items": sha256_json({"manifests": hashes, "rows": self._rows}),
            "settings": sha256_json({source: kinds[source] for source in stores}),
            "grader": GRADER,
        }

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        nats, tokens = self._row_loss(params, len(self._rows), self._read, progress)
        num_bytes, expected = (
            np.array([self._stores[source].stats[record, column] for source, record in self._rows])
            for column in (1, 2)  # bytes, target tokens
        )
        assert np.array_equal(tokens, expected), "the rows' targets differ from row_stats.npy"
        guess = tokens * self._nats_of_a_guess
        metrics: dict[str, Metric] = {}
        scores: dict[str, np.ndarray] = {}
        for group, sources in self._groups.items():
            for spec, scale, denominators, total in (
                (NATS_PER_TOKEN, 1.0, tokens, "num_target_tokens"),
                (BITS_PER_BYTE, 1 / math.log(2), num_bytes, "num_bytes"),
            ):
                strata = self._strata(sources, scale * nats, denominators, total)
                null, _, _ = average(self._strata(sources, scale * guess, denominators, total))
                name = spec.name.replace("*", group)
                estimate, *sums = average(strata)
                metrics[name] = spec.metric(estimate, null_value=null.value)
                scores[name], scores[f"{name}/weight"] = (self._of_all(sources, s) for s in sums)
                if len(strata) > 1:
                    counts = [len(s.numerators) for s in strata]
                    numbers = np.repeat(np.arange(len(strata)), counts)
                    scores[f"{name}/stratum"] = self._of_all(sources, numbers)
        records = [
            {"id": f"{source}/{record}", "nats": n, "tokens": int(t), "bytes": int(b)}
            for (source, record), n, t, b in zip(self._rows, nats, tokens, num_bytes, strict=True)
        ]
        ids = [record["id"] for record in records]
        return EvalResult(metrics, ItemScores(ids, scores, records, clusters=ids))

    def _of_all(self, sources: Sequence[str], values: np.ndarray) -> np.ndarray:
        """Returns values of all rows from those of some sources, in that order; the rest is NaN."""
        found = np.full(len(self._rows), np.nan)
        places = [
            place
            for wanted in sources
            for place, (source, _) in enumerate(self._rows)
            if source == wanted
        ]
        found[places] = values
        return found

    def _read(self, number: int) -> Row:
        source, record = self._rows[number]
        return self._stores[source][record]

    def _strata(
        self, sources: Sequence[str], numerators: np.ndarray, denominators: np.ndarray, total: str
    ) -> "list[Stratum]":
        strata = []
        for source in sources:
            is_ours = np.array([name == source for name, _ in self._rows])
            held_out = getattr(self._stores[source].manifest, total)
            strata.append(Stratum(numerators[is_ours], denominators[is_ours], held_out))
        return strata


def _sample(num_held_out: int, num_rows: int) -> list[int]:
    """Returns rows by keyed hash of their number. More rows include those of fewer."""
    hashes = keyed_hash(np.arange(num_held_out, dtype=np.uint64), "validation rows")
    return smallest(hashes, num_rows).tolist()


class Stratum(NamedTuple):
    """One source: sums over each of its rows [N], and the sum of the denominators of all rows."""

    numerators: np.ndarray
    denominators: np.ndarray
    held_out: int


def average(strata: Sequence[Stratum]) -> tuple[Estimate, np.ndarray, np.ndarray]:
    """Returns the average of the strata's ratios, weighted by what each holds out, and its items.

    The items are all rows, as numerators and denominators; those of a stratum are scaled together
    to make the denominators sum to its held-out total. So Σ / Σ over them is the average.
    """
    ratios = [ratio_of_sums(s.numerators, s.denominators) for s in strata]
    if len(strata) == 1:
        return ratios[0], strata[0].numerators, strata[0].denominators
    scales = [s.held_out / s.denominators.sum() for s in strata]
    estimate = weighted_average(ratios, [s.held_out for s in strata])
    numerators = [scale * s.numerators for scale, s in zip(scales, strata, strict=True)]
    denominators = [scale * s.denominators for scale, s in zip(scales, strata, strict=True)]
    return estimate, np.concatenate(numerators), np.concatenate(denominators)


def _groups(kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns group → its sources: single sources, then kinds and `all` if they have several."""
    sources = {f"source/{source}": [source] for source in kinds}
    averages = {
        f"kind/{kind}": [source for source in kinds if kinds[source] == kind]
        for kind in dict.fromkeys(kinds.values())
    } | {"all": list(kinds)}
    return sources | {name: members for name, members in averages.items() if len(members) > 1}


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
    return chosen or list(sources)


def _check_study(request: Request[ValidationLossOptions], config: StudyConfig) -> None:
    _chosen_sources(request, config)


def _build(request: Request[ValidationLossOptions], resources: "Resources") -> ValidationLoss:
    sources = resources.config.data.sources
    return ValidationLoss(
        resources.row_loss,
        resources.held_out_rows(_chosen_sources(request, resources.config)),
        kinds={source: chosen.kind for source, chosen in sources.items()},
        num_rows=request.num_examples,
        vocab_size=resources.config.model.vocab_size,
    )


EVALUATOR = EvaluatorKind(
    name="validation_loss",
    options=ValidationLossOptions,
    metrics=(NATS_PER_TOKEN, BITS_PER_BYTE),
    build=_build,
    check_study=_check_study,
)
