"""Loss on held-out rows: per source, per kind of source, and over all.

Per source it is Σ nats / Σ target tokens, and Σ bits / Σ bytes of text, which does not depend on
the tokenizer. Rows are the clusters of the standard error: what stands in one row is correlated.

A kind is the average of its sources, and `all` that of the kinds, each source with the weight of
everything it holds out: in target tokens for nats per token, in bytes for bits per byte. So both
estimate Σ / Σ over all that is held out, however many rows of each source are read. An average over
one source alone would repeat it and is left out.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.evals.items import EvalResult, Items
from codepretrain.evals.metric import Metric, ratio_of_sums, weighted_average
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.model.transformer import Params
from codepretrain.rows.store import RowStore
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.train.step import make_eval_step


class ValidationLoss:
    """Params → loss on the first `num_rows` held-out rows of every source.

    Metrics: `source/<source>/<measure>`, `kind/<kind>/<measure>` and `all/<measure>` with measure
    `nats_per_token` or `bits_per_byte`.
    """

    def __init__(
        self,
        config: StudyConfig,
        stores: Mapping[str, RowStore],
        mesh: Mesh,
        *,
        num_rows: int,
        batch_size: int,
    ) -> None:
        """`batch_size` is rounded up to what the mesh divides among its devices."""
        self._stores = stores
        self._mesh = mesh
        self._batch_size = rows_per_batch(batch_size, mesh)
        self._masks_documents = config.training.mask_documents
        self._eval_step = make_eval_step(config, mesh)
        self._groups = _groups({source: config.data.sources[source].kind for source in stores})
        self._rows = [
            (source, record)
            for source, store in stores.items()
            for record in range(min(num_rows, len(store)))
        ]

    def __call__(self, params: Params) -> EvalResult:
        nats, tokens = self._sums(params)
        num_bytes, expected = (
            np.array([self._stores[source].stats[record, column] for source, record in self._rows])
            for column in (1, 2)  # bytes, target tokens
        )
        assert np.array_equal(tokens, expected), "the rows' targets are not those of row_stats.npy"
        metrics: dict[str, Metric] = {}
        scores: dict[str, np.ndarray] = {}
        for group, sources in self._groups.items():
            for measure, unit, numerators, denominators, total in (
                ("nats_per_token", "nats/token", nats, tokens, "num_target_tokens"),
                ("bits_per_byte", "bits/byte", nats / math.log(2), num_bytes, "num_bytes"),
            ):
                strata = [self._stratum(s, numerators, denominators, total) for s in sources]
                name = f"{group}/{measure}"
                metrics[name], scores[name], scores[f"{name}/weight"] = average(strata, unit)
                if len(strata) > 1:
                    counts = [len(s.numerators) for s in strata]
                    scores[f"{name}/stratum"] = np.repeat(np.arange(len(strata)), counts)
        records = [
            {"id": f"{source}/{record}", "nats": n, "tokens": int(t), "bytes": int(b)}
            for (source, record), n, t, b in zip(self._rows, nats, tokens, num_bytes, strict=True)
        ]
        return EvalResult(metrics, Items(scores, records))

    def _sums(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Returns nats and target tokens of every row read: [N] float64 each."""
        sums = []
        for start in range(0, len(self._rows), self._batch_size):
            chunk = self._rows[start : start + self._batch_size]
            rows = [self._stores[source][record] for source, record in chunk]
            local = batch_from_rows(rows, mask_documents=self._masks_documents)
            missing = ((0, self._batch_size - len(chunk)), (0, 0))  # of weight 0 and segment 0
            batch = Batch(*(place_rows(np.pad(x, missing), self._mesh) for x in local))
            sums.append(np.array(self._eval_step(params, batch), np.float64)[:, : len(chunk)])
        nats, tokens = np.concatenate(sums, axis=1)
        return nats, tokens

    def _stratum(
        self, source: str, numerators: np.ndarray, denominators: np.ndarray, total: str
    ) -> "Stratum":
        is_ours = np.array([name == source for name, _ in self._rows])
        held_out = getattr(self._stores[source].manifest, total)
        return Stratum(numerators[is_ours], denominators[is_ours], held_out)


class Stratum(NamedTuple):
    """One source: sums over each of its rows [N], and the sum of the denominators of all rows."""

    numerators: np.ndarray
    denominators: np.ndarray
    held_out: int


def average(strata: Sequence[Stratum], unit: str) -> tuple[Metric, np.ndarray, np.ndarray]:
    """Returns the average of the strata's ratios, weighted by what each holds out, and its items.

    The items are all rows, as numerators and denominators; those of a stratum are scaled together
    so that the denominators sum to what it holds out. So Σ / Σ over them is the average.
    """
    ratios = [ratio_of_sums(s.numerators, s.denominators, unit) for s in strata]
    if len(strata) == 1:
        return ratios[0], strata[0].numerators, strata[0].denominators
    scales = [s.held_out / s.denominators.sum() for s in strata]
    metric = weighted_average(ratios, [s.held_out for s in strata])
    numerators = [scale * s.numerators for scale, s in zip(scales, strata, strict=True)]
    denominators = [scale * s.denominators for scale, s in zip(scales, strata, strict=True)]
    return metric, np.concatenate(numerators), np.concatenate(denominators)


def _groups(kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns group → its sources: each source alone, then kinds and all of more than one."""
    sources = {f"source/{source}": [source] for source in kinds}
    averages = {
        f"kind/{kind}": [source for source in kinds if kinds[source] == kind]
        for kind in dict.fromkeys(kinds.values())
    } | {"all": list(kinds)}
    return sources | {name: members for name, members in averages.items() if len(members) > 1}
