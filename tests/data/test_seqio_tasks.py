import numpy as np
import pytest
import seqio

from codepretrain.data.selection import split_documents
from codepretrain.data.seqio_tasks import register_mixtures, register_tasks, tokenized_documents
from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.rows.vocabulary import tokenizer_path


@pytest.fixture
def vocabulary(prepared_data) -> ByteLevelBPE:
    return ByteLevelBPE(tokenizer_path(prepared_data.data_dir), prepared_data.config.data.tokenizer)


def test_a_task_gives_every_document_in_order(prepared_data, vocabulary) -> None:
    names = register_tasks(prepared_data.config, prepared_data.data_dir)
    assert names == {"text": "codepretrain.tiny.text", "code": "codepretrain.tiny.code"}
    documents = list(split_documents(prepared_data.data_dir, source="text", split="train"))
    assert len(documents) > 64, "more than one batch"
    tokens = list(tokenized_documents(names["text"], "train"))
    assert len(tokens) == len(documents)
    for document, ids in zip(documents, tokens, strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == [1, *vocabulary.encode(document.text), 2]
    task = seqio.get_mixture_or_task(names["text"])
    assert task.num_input_examples("train") == len(documents)
    assert task.output_features["targets"].vocabulary == vocabulary


def test_mixtures_draw_tokens_in_the_weights_of_their_phase(prepared_data) -> None:
    register_tasks(prepared_data.config, prepared_data.data_dir)
    names = register_mixtures(prepared_data.config, prepared_data.data_dir)
    mixture = seqio.get_mixture_or_task(names["pretrain"])
    tokens = {
        task.name: mixture.get_rate(task)
        * prepared_data.data.rows[task.name.rsplit(".", 1)[1], "train"].num_tokens
        / prepared_data.data.rows[task.name.rsplit(".", 1)[1], "train"].num_documents
        for task in mixture.tasks
    }
    assert tokens == pytest.approx({"codepretrain.tiny.text": 0.75, "codepretrain.tiny.code": 0.25})
    assert [t.name for t in seqio.get_mixture_or_task(names["continued"]).tasks] == [
        "codepretrain.tiny.text"
    ]
    dataset = mixture.get_dataset({"targets": 64}, split="train", shuffle=False)
    assert len(next(dataset.as_numpy_iterator())["targets"]) <= 64


def test_registering_again_takes_the_place_of_the_former(prepared_data, make_study) -> None:
    register_tasks(prepared_data.config, prepared_data.data_dir)
    first = seqio.get_mixture_or_task("codepretrain.tiny.text")
    register_tasks(prepared_data.config, prepared_data.data_dir)
    assert seqio.get_mixture_or_task("codepretrain.tiny.text") is not first
