import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.estimate import ratio_of_sums
from codepretrain.evals.evaluator import EvalResult, Request
from codepretrain.evals.progress import no_progress
from codepretrain.evals.resources import Resources
from codepretrain.evals.row_loss import RowLoss
from codepretrain.evals.validation_loss import (
    EVALUATOR,
    Stratum,
    ValidationLoss,
    ValidationLossOptions,
    average,
)
from codepretrain.model.transformer import Params
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def stores(config: StudyConfig, data_dir: Path) -> dict[str, RowStore]:
    return open_sources(data_dir, config.data.sources, "validation")


def validation_loss(
    config: StudyConfig,
    stores: dict[str, RowStore],
    mesh: Mesh,
    *,
    num_rows: int,
    batch_size: int,
) -> ValidationLoss:
    return ValidationLoss(
        RowLoss(config, mesh, batch_size=batch_size),
        stores,
        kinds={source: chosen.kind for source, chosen in config.data.sources.items()},
        num_rows=num_rows,
        vocab_size=config.model.vocab_size,
    )


@pytest.fixture(scope="module")
def on_all_rows(
    config: StudyConfig, stores: dict[str, RowStore], mesh: Mesh, sharded_params: Params
) -> EvalResult:
    """Batches of four rows; the last one is not full."""
    loss = validation_loss(config, stores, mesh, num_rows=1000, batch_size=3)
    assert sum(map(len, stores.values())) % 4
    return loss(sharded_params, no_progress)


@pytest.fixture(scope="module")
def sums(
    documents: dict[str, list[list[int]]],
    vocabulary: Vocabulary,
    plain_logits: Callable[[list[int]], np.ndarray],
) -> dict[str, np.ndarray]:
    """Nats, target tokens and bytes of each source, one document at a time, the plain way."""

    def nats(ids: list[int]) -> float:
        logits = plain_logits(ids[:-1])
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -log_p[np.arange(len(ids) - 1), ids[1:]].sum()

    return {
        source: np.array(
            [(nats(ids), len(ids) - 1, len(vocabulary.decode(ids))) for ids in tokenized]
        ).sum(axis=0)
        for source, tokenized in documents.items()
    }


def test_packed_rows_give_the_loss_of_the_documents(
    on_all_rows: EvalResult, sums: dict[str, np.ndarray]
) -> None:
    for source, (nats, tokens, num_bytes) in sums.items():
        per_token = on_all_rows.metrics[f"source/{source}/nats_per_token"]
        per_byte = on_all_rows.metrics[f"source/{source}/bits_per_byte"]
        assert per_token.value == pytest.approx(nats / tokens, rel=1e-5)
        assert per_byte.value == pytest.approx(nats / np.log(2) / num_bytes, rel=1e-5)
        assert (per_token.unit, per_byte.unit) == ("nats/token", "bits/byte")


@pytest.mark.parametrize(
    ("group", "sources"),
    [("kind/code", ["markup", "web_code"]), ("all", ["markup", "web_code", "prose"])],
)
def test_averages_over_all_rows_are_ratios_of_sums(
    on_all_rows: EvalResult, sums: dict[str, np.ndarray], group: str, sources: list[str]
) -> None:
    nats, tokens, num_bytes = np.sum([sums[source] for source in sources], axis=0)
    per_token = on_all_rows.metrics[f"{group}/nats_per_token"].value
    per_byte = on_all_rows.metrics[f"{group}/bits_per_byte"].value
    assert per_token == pytest.approx(nats / tokens, rel=1e-5)
    assert per_byte == pytest.approx(nats / np.log(2) / num_bytes, rel=1e-5)


def test_the_average_of_a_single_source_is_left_out(on_all_rows: EvalResult) -> None:
    groups = [name.rpartition("/")[0] for name in on_all_rows.metrics]
    assert list(dict.fromkeys(groups)) == [
        "source/markup",
        "source/prose",
        "source/web_code",
        "kind/code",
        "all",
    ]


def scored(result: EvalResult, name: str) -> np.ndarray:
    """Returns the scores of the items that a metric is of."""
    values = result.items.scores[name]
    return values[~np.isnan(values)]


def test_a_sample_of_rows_of_each_source_is_read_and_weighted_by_all_it_holds_out(
    config: StudyConfig,
    stores: dict[str, RowStore],
    mesh: Mesh,
    sharded_params: Params,
    on_all_rows: EvalResult,
) -> None:
    few = validation_loss(config, stores, mesh, num_rows=2, batch_size=3)(
        sharded_params, no_progress
    )
    weights, values, places = [], [], []
    for source, store in stores.items():
        name = f"source/{source}/nats_per_token"
        chosen = [
            int(str(record["id"]).split("/")[1])
            for record in few.items.records
            if str(record["id"]).startswith(f"{source}/")
        ]
        assert len(chosen) == 2
        places += [record / len(store) for record in chosen]
        nats = scored(on_all_rows, name)[chosen]
        np.testing.assert_allclose(scored(few, name), nats, rtol=1e-5)
        weights.append(store.manifest.num_target_tokens)
        values.append(nats.sum() / store.stats[chosen, 2].sum())
    assert max(places) > 0.5, "not only the first rows"
    assert few.metrics["all/nats_per_token"].value == pytest.approx(
        np.average(values, weights=weights), rel=1e-5
    )
    assert few.metrics["all/nats_per_token"].count == 6


def test_every_metric_is_the_ratio_of_its_items(on_all_rows: EvalResult) -> None:
    for name, metric in on_all_rows.metrics.items():
        sums, weights = scored(on_all_rows, name), scored(on_all_rows, f"{name}/weight")
        assert metric.value == pytest.approx(sums.sum() / weights.sum())
        assert metric.count == len(sums)


def test_an_average_by_hand() -> None:
    """Ratio 2 of 30 held out, ratio 4 of 10: 2.5. Items scaled by 30/2 and by 10/3."""
    strata = [
        Stratum(np.array([4.0]), np.array([2.0]), held_out=30),
        Stratum(np.array([8.0, 4.0]), np.array([2.0, 1.0]), held_out=10),
    ]
    estimate, numerators, denominators = average(strata)
    assert estimate.value == pytest.approx(2.5)
    np.testing.assert_allclose(numerators, [60, 80 / 3, 40 / 3])
    np.testing.assert_allclose(denominators, [30, 20 / 3, 10 / 3])


def test_the_error_of_an_average_is_that_of_independent_sources() -> None:
    rng = np.random.default_rng(0)
    strata = [
        Stratum(rng.normal(size=9), rng.uniform(1, 2, size=9), held_out=held_out)
        for held_out in (300, 100)
    ]
    first, second = (ratio_of_sums(s.numerators, s.denominators) for s in strata)
    estimate, _, _ = average(strata)
    expected = np.hypot(0.75 * first.standard_error, 0.25 * second.standard_error)
    assert estimate.standard_error == pytest.approx(expected)


def test_the_same_parameters_give_the_same_numbers(
    config: StudyConfig, stores: dict[str, RowStore], mesh: Mesh, sharded_params: Params
) -> None:
    loss = validation_loss(config, stores, mesh, num_rows=3, batch_size=4)
    assert loss(sharded_params, no_progress).metrics == loss(sharded_params, no_progress).metrics


def test_without_document_masks_the_loss_is_another(
    config: StudyConfig,
    stores: dict[str, RowStore],
    mesh: Mesh,
    sharded_params: Params,
    on_all_rows: EvalResult,
) -> None:
    training = dataclasses.replace(config.training, mask_documents=False)
    unmasked = dataclasses.replace(config, training=training)
    result = validation_loss(unmasked, stores, mesh, num_rows=1000, batch_size=4)(
        sharded_params, no_progress
    )
    name = "all/nats_per_token"
    assert result.metrics[name].value != pytest.approx(on_all_rows.metrics[name].value, rel=1e-4)


def test_null_values_are_those_of_a_uniform_guess(
    on_all_rows: EvalResult, sums: dict[str, np.ndarray]
) -> None:
    """ln 64 nats a token; 6 bits a token are 6 · tokens / bytes bits a byte."""
    EVALUATOR.check_result(on_all_rows)
    for source, (_, tokens, num_bytes) in sums.items():
        per_token = on_all_rows.metrics[f"source/{source}/nats_per_token"]
        per_byte = on_all_rows.metrics[f"source/{source}/bits_per_byte"]
        assert per_token.null_value == pytest.approx(np.log(64))
        assert per_byte.null_value == pytest.approx(6 * tokens / num_bytes)
    assert on_all_rows.metrics["all/nats_per_token"].null_value == pytest.approx(np.log(64))


def test_sources_may_be_chosen(config: StudyConfig, data_dir: Path, mesh: Mesh) -> None:
    resources = Resources(config, epath.Path(data_dir), mesh)
    first = next(iter(config.data.sources))

    def build(sources: str) -> ValidationLoss:
        options = ValidationLossOptions(sources=sources)
        request = Request(path="config.evals.v", num_examples=3, options=options)
        built = EVALUATOR.build(request, resources)
        assert isinstance(built, ValidationLoss)
        return built

    assert {source for source, _ in build("")._rows} == set(config.data.sources)
    assert {source for source, _ in build(f" {first},")._rows} == {first}
    with pytest.raises(UserError, match=r"config.evals.v.options.sources: there is no source 'x'"):
        build(f"{first}, x")
