import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from etils import epath
from jax.sharding import Mesh

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import MeshConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.cluster_ratio import ratio_over_clusters
from codepretrain.evals.evaluator import EvalResult, Request
from codepretrain.evals.identity import full_identity
from codepretrain.evals.progress import no_progress
from codepretrain.evals.resources import Resources
from codepretrain.evals.validation_loss import EVALUATOR, ValidationLoss, ValidationLossOptions
from codepretrain.model.transformer import Params
from codepretrain.rows.held_out import HeldOutDocuments
from codepretrain.rows.sampling import keyed_hash
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.vocabulary import Vocabulary
from tests.fixtures.processes import RunJob


@pytest.fixture(scope="module")
def stores(config: StudyConfig, data_dir: Path) -> dict[str, RowStore]:
    return open_sources(data_dir, config.data.sources, "validation")


@pytest.fixture(scope="module")
def resources(config: StudyConfig, data_dir: Path, mesh: Mesh) -> Resources:
    return Resources(config, epath.Path(data_dir), mesh)


def request(num_examples: int, options: dict[str, Any]) -> Request[ValidationLossOptions]:
    return Request(
        path="config.evals.v",
        num_examples=num_examples,
        options=ValidationLossOptions(**options),
    )


def build(resources: Resources, num_examples: int = 1000, **options: Any) -> ValidationLoss:
    built = EVALUATOR.build(request(num_examples, options), resources)
    assert isinstance(built, ValidationLoss)
    return built


@pytest.fixture(scope="module")
def on_all(resources: Resources, sharded_params: Params) -> EvalResult:
    """All documents, all tokens."""
    return build(resources, max_tokens_per_document=0)(sharded_params, no_progress)


Nats = dict[str, list[np.ndarray]]


@pytest.fixture(scope="module")
def target_nats(
    documents: dict[str, list[list[int]]], plain_logits: Callable[[list[int]], np.ndarray]
) -> Nats:
    """Nats of every target of every document, one document at a time, the plain way."""

    def nats(ids: list[int]) -> np.ndarray:
        logits = plain_logits(ids[:-1])
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -log_p[np.arange(len(ids) - 1), ids[1:]]

    return {source: [nats(ids) for ids in tokenized] for source, tokenized in documents.items()}


@pytest.fixture(scope="module")
def sums(
    documents: dict[str, list[list[int]]], vocabulary: Vocabulary, target_nats: Nats
) -> dict[str, np.ndarray]:
    """Nats, target tokens and bytes of each source."""
    return {
        source: np.array(
            [
                (nats.sum(), len(nats), len(vocabulary.decode(ids)))
                for ids, nats in zip(documents[source], found, strict=True)
            ]
        ).sum(axis=0)
        for source, found in target_nats.items()
    }


def scored(result: EvalResult, name: str) -> np.ndarray:
    """Returns the scores of the items that a metric is of."""
    values = result.items.scores[name]
    return values[~np.isnan(values)]


def numbers_of(result: EvalResult, source: str) -> list[int]:
    """Returns the numbers of a source's documents, which are their ids here."""
    ids = (name.split("/") for name in result.items.ids)
    return [int(number) for owner, number in ids if owner == source]


def test_packed_rows_give_the_loss_of_the_documents(
    on_all: EvalResult, sums: dict[str, np.ndarray]
) -> None:
    for source, (nats, tokens, num_bytes) in sums.items():
        per_token = on_all.metrics[f"source/{source}/nats_per_token"]
        per_byte = on_all.metrics[f"source/{source}/bits_per_byte"]
        assert per_token.value == pytest.approx(nats / tokens, rel=1e-5)
        assert per_byte.value == pytest.approx(nats / np.log(2) / num_bytes, rel=1e-5)
        assert (per_token.unit, per_byte.unit) == ("nats/token", "bits/byte")


def test_each_document_has_its_own_sum(on_all: EvalResult, target_nats: Nats) -> None:
    for source, found in target_nats.items():
        assert numbers_of(on_all, source) == list(range(len(found)))
        expected = [nats.sum() for nats in found]
        values = scored(on_all, f"source/{source}/nats_per_token")
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("group", "sources"),
    [("kind/code", ["markup", "web_code"]), ("all", ["markup", "web_code", "prose"])],
)
def test_averages_over_all_documents_are_ratios_of_sums(
    on_all: EvalResult, sums: dict[str, np.ndarray], group: str, sources: list[str]
) -> None:
    nats, tokens, num_bytes = np.sum([sums[source] for source in sources], axis=0)
    per_token = on_all.metrics[f"{group}/nats_per_token"].value
    per_byte = on_all.metrics[f"{group}/bits_per_byte"].value
    assert per_token == pytest.approx(nats / tokens, rel=1e-5)
    assert per_byte == pytest.approx(nats / np.log(2) / num_bytes, rel=1e-5)


def test_the_average_of_a_single_source_is_left_out(on_all: EvalResult) -> None:
    groups = [name.rpartition("/")[0] for name in on_all.metrics]
    assert list(dict.fromkeys(groups)) == [
        "source/markup",
        "source/prose",
        "source/web_code",
        "kind/code",
        "all",
    ]


def test_a_long_document_counts_with_a_window(
    resources: Resources,
    sharded_params: Params,
    documents: dict[str, list[list[int]]],
    vocabulary: Vocabulary,
    target_nats: Nats,
) -> None:
    """At most four targets of each document, from one that its key decides; tokens and bytes alike.

    The key of document i is i (`conftest.py`).
    """
    result = build(resources, max_tokens_per_document=4)(sharded_params, no_progress)
    num_cut = num_wrapped = 0
    for source, found in target_nats.items():
        expected = []
        for key, (ids, nats) in enumerate(zip(documents[source], found, strict=True)):
            hashed = int(keyed_hash(np.array([key]), "windows of held-out documents")[0])
            start = hashed % len(nats)
            places = [(start + i) % len(nats) for i in range(min(4, len(nats)))]
            texts = [vocabulary.decode([ids[place + 1]]) for place in places]
            expected.append((nats[places].sum(), len(places), len(b"".join(texts))))
            num_cut += len(places) < len(nats)
            num_wrapped += max(places) > places[-1]
        name = f"source/{source}/nats_per_token"
        np.testing.assert_allclose(scored(result, name), [e[0] for e in expected], rtol=1e-5)
        assert scored(result, f"{name}/weight").tolist() == [e[1] for e in expected]
        per_byte = f"source/{source}/bits_per_byte/weight"
        assert scored(result, per_byte).tolist() == [e[2] for e in expected]
    assert num_cut > 10
    assert num_wrapped > 3


def test_a_sample_of_documents_is_weighted_by_all_that_are_held_out(
    resources: Resources, sharded_params: Params, on_all: EvalResult, target_nats: Nats
) -> None:
    few = build(resources, 2)(sharded_params, no_progress)
    weights, values, places = [], [], []
    for source, found in target_nats.items():
        name = f"source/{source}/nats_per_token"
        chosen = numbers_of(few, source)
        assert len(chosen) == 2
        places += [number / len(found) for number in chosen]
        nats = scored(on_all, name)[chosen]
        np.testing.assert_allclose(scored(few, name), nats, rtol=1e-5)
        weights.append(sum(map(len, found)))
        values.append(nats.sum() / sum(len(found[number]) for number in chosen))
    assert max(places) > 0.5, "not only the first documents"
    metric = few.metrics["all/nats_per_token"]
    assert metric.value == pytest.approx(np.average(values, weights=weights), rel=1e-5)
    assert metric.num_items == 6


def test_cut_sources_are_weighted_by_what_would_count(
    resources: Resources,
    sharded_params: Params,
    documents: dict[str, list[list[int]]],
    vocabulary: Vocabulary,
) -> None:
    """Σ min(tokens, 4) for nats per token; of bytes, the share of the tokens."""
    few = build(resources, 2, max_tokens_per_document=4)(sharded_params, no_progress)
    lengths = {s: np.array([len(ids) - 1 for ids in d]) for s, d in documents.items()}
    num_bytes = {s: np.array([len(vocabulary.decode(i)) for i in d]) for s, d in documents.items()}
    for measure, totals in (
        ("nats_per_token", {s: np.minimum(n, 4).sum() for s, n in lengths.items()}),
        (
            "bits_per_byte",
            {s: (num_bytes[s] * np.minimum(n, 4) / n).sum() for s, n in lengths.items()},
        ),
    ):
        values = [few.metrics[f"source/{source}/{measure}"].value for source in totals]
        expected = np.average(values, weights=list(totals.values()))
        assert few.metrics[f"all/{measure}"].value == pytest.approx(expected)


def test_every_metric_is_the_ratio_of_its_items(on_all: EvalResult) -> None:
    for name, metric in on_all.metrics.items():
        if name.endswith("effective_groups"):
            continue
        sums, weights = scored(on_all, name), scored(on_all, f"{name}/weight")
        assert metric.value == pytest.approx(sums.sum() / weights.sum())
        assert metric.num_items == len(sums)


def test_errors_are_over_clusters(on_all: EvalResult) -> None:
    """Documents 0 and 1 are one cluster, 2 and 3 the next; no cluster is in two sources."""
    found = []
    for source in ("markup", "prose", "web_code"):
        name = f"source/{source}/nats_per_token"
        nats, tokens = scored(on_all, name), scored(on_all, f"{name}/weight")
        expected = ratio_over_clusters(nats, tokens, np.arange(len(nats)) // 2)
        metric = on_all.metrics[name]
        assert metric.standard_error == pytest.approx(expected.standard_error)
        assert metric.freedom == pytest.approx(expected.freedom)
        assert metric.count == -(-len(nats) // 2)
        assert metric.cluster == "group"
        found.append((metric.standard_error, tokens.sum()))
    errors, weights = np.array(found).T
    average = on_all.metrics["all/nats_per_token"]
    shares = weights / weights.sum()
    assert average.standard_error == pytest.approx(np.hypot.reduce(shares * errors))
    assert average.count == len(set(on_all.items.clusters)) == 14
    pairs = dict(zip(on_all.items.ids, on_all.items.clusters, strict=True))
    assert pairs["prose/0"] == pairs["prose/1"] != pairs["prose/2"]


def test_effective_groups_by_hand(
    on_all: EvalResult, documents: dict[str, list[list[int]]]
) -> None:
    """Four documents of markup are two clusters."""
    sizes = [len(ids) - 1 for ids in documents["markup"]]
    a, b = sizes[0] + sizes[1], sizes[2] + sizes[3]
    metric = on_all.metrics["source/markup/effective_groups"]
    assert metric.value == pytest.approx((a + b) ** 2 / (a**2 + b**2))
    assert (metric.count, metric.num_items, metric.direction) == (2, 4, None)


def test_few_groups_are_named(resources: Resources) -> None:
    [few] = build(resources, sources="markup").warnings
    assert few.startswith("'markup': its 4 sampled documents are of 2 groups, as good as ")
    assert "with fewer than 30, intervals are wide" in few
    assert few.endswith("or more groups of a source that is held out as a whole) if these are all")


def test_the_same_parameters_give_the_same_numbers(
    resources: Resources, sharded_params: Params
) -> None:
    loss = build(resources, 3)
    assert loss(sharded_params, no_progress).metrics == loss(sharded_params, no_progress).metrics


def test_without_document_masks_rows_are_scored_as_training_reads_them(
    config: StudyConfig,
    data_dir: Path,
    mesh: Mesh,
    stores: dict[str, RowStore],
    sharded_params: Params,
    plain_logits: Callable[[list[int]], np.ndarray],
) -> None:
    training = dataclasses.replace(config.training, mask_documents=False)
    unmasked = Resources(dataclasses.replace(config, training=training), epath.Path(data_dir), mesh)
    result = build(unmasked, 5)(sharded_params, no_progress)
    for source, store in stores.items():
        expected = {}
        for row in (store[number] for number in range(len(store))):
            logits = plain_logits(row.tokens[:-1].tolist())
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            for document, start, length in zip(
                row.documents, row.segment_starts, row.segment_lengths, strict=True
            ):
                places = np.arange(start, start + length - 1)
                expected[int(document)] = -log_p[places, row.tokens[places + 1]].sum()
        chosen = numbers_of(result, source)
        values = scored(result, f"source/{source}/nats_per_token")
        np.testing.assert_allclose(values, [expected[n] for n in chosen], rtol=1e-5)


def test_null_values_are_those_of_a_uniform_guess(
    on_all: EvalResult, sums: dict[str, np.ndarray]
) -> None:
    """ln 64 nats a token; 6 bits a token are 6 · tokens / bytes bits a byte."""
    EVALUATOR.check_result(on_all)
    for source, (_, tokens, num_bytes) in sums.items():
        per_token = on_all.metrics[f"source/{source}/nats_per_token"]
        per_byte = on_all.metrics[f"source/{source}/bits_per_byte"]
        assert per_token.null_value == pytest.approx(np.log(64))
        assert per_byte.null_value == pytest.approx(6 * tokens / num_bytes)
    assert on_all.metrics["all/nats_per_token"].null_value == pytest.approx(np.log(64))


def test_sources_may_be_chosen(
    config: StudyConfig, resources: Resources, sharded_params: Params
) -> None:
    first = next(iter(config.data.sources))
    result = build(resources, 3, sources=f" {first},")(sharded_params, no_progress)
    assert {name.split("/")[0] for name in result.items.ids} == {first}
    with pytest.raises(UserError, match=r"config.evals.v.options.sources: there is no source 'x'"):
        build(resources, 3, sources=f"{first}, x")


def test_sources_that_are_trained_on_as_a_whole_have_no_loss(config: StudyConfig) -> None:
    first, *others = config.data.sources
    sources = {
        name: dataclasses.replace(source, split="train" if name == first else "by_group")
        for name, source in config.data.sources.items()
    }
    changed = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))

    subjects = EVALUATOR.subjects(request(3, {}), changed) or ()
    assert f"source/{first}" not in subjects
    assert {f"source/{name}" for name in others} <= set(subjects)
    with pytest.raises(UserError, match=f"'{first}' holds out nothing"):
        EVALUATOR.check_study(request(3, {"sources": first}), changed)


def test_a_negative_cap() -> None:
    with pytest.raises(
        UserError,
        match=r"config\.evals\.v\.options\.max_tokens_per_document: expected .* got -1",
    ):
        EVALUATOR.check(request(3, {"max_tokens_per_document": -1}))


def test_the_identity_names_documents_windows_and_the_model_input(
    config: StudyConfig, resources: Resources, data_dir: Path, mesh: Mesh
) -> None:
    training = dataclasses.replace(config.training, mask_documents=False)
    unmasked = Resources(dataclasses.replace(config, training=training), epath.Path(data_dir), mesh)
    default = build(resources, 3).identity
    assert build(resources, 3).identity == default
    for other in (
        build(resources, 4),
        build(resources, 3, sources="prose"),
        build(resources, 3, max_tokens_per_document=4),
    ):
        assert other.identity["items"] != default["items"]
        assert other.identity["prompts"] == default["prompts"]
    assert build(unmasked, 3).identity["items"] == default["items"]
    assert build(unmasked, 3).identity["prompts"] != default["prompts"]
    full_identity(EVALUATOR, request(3, {}), default)


def test_the_identity_names_what_the_sources_are_weighted_by(
    resources: Resources, sharded_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out documents that are not in the sample count in the averages over sources."""
    small = build(resources, 3)
    before = small(sharded_params, no_progress)
    whole = resources.held_out_documents

    def grown(rows: dict[str, RowStore]) -> dict[str, HeldOutDocuments]:
        found = whole(rows)
        documents = np.array(found["prose"].documents)
        [other, *_] = set(range(len(documents))) - set(numbers_of(before, "prose"))
        documents["num_targets"][other] += 1000
        return {**found, "prose": dataclasses.replace(found["prose"], documents=documents)}

    monkeypatch.setattr(resources, "held_out_documents", grown)
    large = build(resources, 3)
    after = large(sharded_params, no_progress)
    assert after.items.ids == before.items.ids
    name = "all/nats_per_token"
    assert after.metrics[name].value != pytest.approx(before.metrics[name].value, rel=1e-4)
    assert large.identity["items"] == small.identity["items"]
    assert large.identity["settings"] != small.identity["settings"]


def test_rows_that_are_not_those_of_the_list_are_noticed(
    resources: Resources, sharded_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of held-out documents that counts a byte too many."""
    whole = resources.held_out_documents

    def wrong(rows: dict[str, RowStore]) -> dict[str, HeldOutDocuments]:
        found = whole(rows)
        for source, one in found.items():
            documents = np.array(one.documents)
            documents["num_bytes"][0] += 1
            found[source] = dataclasses.replace(one, documents=documents)
        return found

    monkeypatch.setattr(resources, "held_out_documents", wrong)
    with pytest.raises(AssertionError, match="other bytes"):
        build(resources)(sharded_params, no_progress)


TWO_PROCESSES = """
import json
import pathlib

import jax
from etils import epath

from codepretrain.config.parse import parse
from codepretrain.config.schema import StudyConfig
from codepretrain.evals.evaluator import Request
from codepretrain.evals.progress import no_progress
from codepretrain.evals.resources import Resources
from codepretrain.evals.validation_loss import EVALUATOR, ValidationLossOptions
from codepretrain.model.transformer import init_params, logical_axes
from codepretrain.train.sharding import make_mesh, param_shardings

config = parse(StudyConfig, json.loads(arguments[0]))
mesh = make_mesh(config.execution.mesh)
init = jax.tree_util.Partial(init_params, config.model)
shapes = jax.eval_shape(init, jax.random.key(0))
shardings = param_shardings(logical_axes(config.model), shapes, mesh)
params = jax.jit(init, out_shardings=shardings)(jax.random.key(0))
options = ValidationLossOptions(max_tokens_per_document=4)
request = Request(path="config.evals.v", num_examples=6, options=options)
loss = EVALUATOR.build(request, Resources(config, epath.Path(arguments[1]), mesh))
result = loss(params, no_progress)
print(json.dumps({
    "identity": loss.identity,
    "values": {name: metric.value for name, metric in result.metrics.items()},
    "errors": {name: metric.standard_error for name, metric in result.metrics.items()},
    "records": [record["nats"] for record in result.items.records],
}))
"""


def test_two_processes_give_the_same_as_one(
    config: StudyConfig,
    data_dir: Path,
    resources: Resources,
    sharded_params: Params,
    run_job: RunJob,
) -> None:
    """Four devices, two on each process; the one process here has eight."""
    loss = build(resources, 6, max_tokens_per_document=4)
    expected = loss(sharded_params, no_progress)
    execution = dataclasses.replace(config.execution, mesh=MeshConfig(data=2, fsdp=2))
    study = dataclasses.replace(config, execution=execution)
    printed = []
    for ended in run_job(TWO_PROCESSES, json.dumps(to_dict(study)), data_dir):
        assert ended.returncode == 0, ended.stderr
        printed.append(json.loads(ended.stdout.splitlines()[-1]))
    assert printed[0] == printed[1]
    assert printed[0]["identity"] == loss.identity
    for name, metric in expected.metrics.items():
        assert printed[0]["values"][name] == pytest.approx(metric.value, rel=1e-5)
        assert printed[0]["errors"][name] == pytest.approx(metric.standard_error, rel=1e-4)
    nats = [record["nats"] for record in expected.items.records]
    np.testing.assert_allclose(printed[0]["records"], nats, rtol=1e-5)
