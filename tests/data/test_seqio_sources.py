"""Order and division of documents and rows, as seqio draws them."""

import dataclasses
import io
from itertools import chain

import numpy as np
import pytest
import seqio
from rich.console import Console

from codepretrain.data.prepare import prepare
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.seqio_tasks import register
from codepretrain.errors import UserError
from codepretrain.rows.data_dir import data_dir
from codepretrain.rows.store import open_sources
from codepretrain.stream.batch import batch_from_rows
from tests.fixtures.corpus import study


def numbers(name: str, field: str, **options) -> list[int]:
    task = seqio.get_mixture_or_task(f"codepretrain.tiny.{name}")
    dataset = task.get_dataset(None, **{"split": "train", "shuffle": False, **options})
    return [int(example[field]) for example in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("mask_documents", [True, False])
def test_rows_are_those_of_training(seqio_data, mask_documents) -> None:
    config = seqio_data.config
    training = dataclasses.replace(config.training, mask_documents=mask_documents)
    register(dataclasses.replace(config, training=training), seqio_data.workdir)
    dataset = seqio.get_dataset(
        "codepretrain.tiny.code.rows",
        {"targets": 64},
        seqio.feature_converters.PrePackedLMFeatureConverter(),
    )
    store = open_sources(seqio_data.data_dir, ["code"], "train")["code"]
    assert len(store) > 64, "more than one batch"
    batch = batch_from_rows(
        [store[number] for number in range(len(store))], mask_documents=mask_documents
    )
    expected = [
        {
            "decoder_input_tokens": batch.inputs[i],
            "decoder_target_tokens": batch.targets[i],
            "decoder_loss_weights": batch.loss_weights[i].astype(np.int32),
            "decoder_positions": batch.positions[i],
            "decoder_segment_ids": batch.segment_ids[i],
        }
        for i in range(len(store))
    ]
    seqio.test_utils.assert_dataset(dataset, expected)
    assert dataset.element_spec["decoder_input_tokens"].shape == (64,)


@pytest.mark.parametrize(("name", "field"), [("code", "document"), ("code.rows", "row")])
@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_hosts_read_disjoint_parts(registered, name, field, split, shuffle) -> None:
    task = seqio.get_mixture_or_task(f"codepretrain.tiny.{name}")
    total = task.num_input_examples(split)
    parts = [
        numbers(
            name,
            field,
            split=split,
            shuffle=shuffle,
            shard_info=seqio.ShardInfo(index=index, num_shards=3),
        )
        for index in range(3)
    ]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert sorted(chain.from_iterable(parts)) == list(range(total))
    assert task.source.list_shards(split) == [f"code-{split}-00000-of-00001"]


def test_more_hosts_than_examples_are_refused(registered) -> None:
    task = seqio.get_mixture_or_task("codepretrain.tiny.text")
    with pytest.raises(UserError, match=r"examples, which cannot be divided into 9,999 shards"):
        task.get_dataset(None, shard_info=seqio.ShardInfo(0, 9999))
    with pytest.raises(UserError, match=r"has the splits train, validation, not 'test'"):
        task.get_dataset(None, split="test")


@pytest.mark.parametrize(("name", "field"), [("text", "document"), ("text.rows", "row")])
def test_shuffling_follows_the_seed(registered, name, field) -> None:
    def draw(seed: int) -> list[int]:
        return numbers(name, field, shuffle=True, num_epochs=2, try_in_mem_cache=False, seed=seed)

    first, same, other = draw(3), draw(3), draw(4)
    total = len(first) // 2
    assert first == same != other
    assert sorted(first) == sorted([*range(total)] * 2)
    assert first[:total] != sorted(first[:total])


def test_epochs_of_rows_are_shuffled_differently(registered) -> None:
    drawn = numbers("text.rows", "row", shuffle=True, num_epochs=2, try_in_mem_cache=False, seed=3)
    total = len(drawn) // 2
    assert sorted(drawn[:total]) == sorted(drawn[total:]) == list(range(total))
    assert drawn[:total] != drawn[total:]


def test_documents_are_shuffled_beyond_the_shuffle_buffer(registered, monkeypatch) -> None:
    monkeypatch.setattr("codepretrain.data.seqio_sources._DOCUMENTS_PER_BLOCK", 8)
    found = numbers("text", "document", shuffle=True, seed=5, shuffle_buffer_size=1)
    assert sorted(found) == list(range(len(found)))
    starts = [number for number in found if number % 8 == 0]
    assert starts != sorted(starts)
    assert found[found.index(8) : found.index(8) + 8] == list(range(8, 16))


def test_a_block_of_documents_does_not_read_the_manifest_again(registered, monkeypatch) -> None:
    opened = []

    def counted(data_dir, source, **options):
        opened.append(source)
        return open_documents(data_dir, source, **options)

    monkeypatch.setattr("codepretrain.data.seqio_sources.open_documents", counted)
    monkeypatch.setattr("codepretrain.data.seqio_sources._DOCUMENTS_PER_BLOCK", 8)
    found = numbers("text", "document", shuffle=True, seed=5)
    assert len(found) > 5 * 8
    assert opened == ["text"]


def test_documents_over_the_limit_of_a_reader_are_left_out(corpus, tmp_path) -> None:
    config = study(corpus)
    text = config.data.sources["text"]
    limited = dataclasses.replace(text, options={**text.options, "max_bytes": 20_000})
    sources = {**config.data.sources, "text": limited}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    prepare(config, data_dir(tmp_path, config), num_workers=1, console=Console(file=io.StringIO()))
    register(config, tmp_path)
    found = numbers("text", "document")
    assert 20 < len(found) < 80, "120 without the limit and the split"
    assert found == list(range(len(found)))
