import numpy as np

from codepretrain.data.items import held_out as held_out_module
from codepretrain.data.items.held_out import held_out_documents
from codepretrain.data.selection.selected import split_documents
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path


def load_encoder(data_dir, config) -> DocumentEncoder:
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    return DocumentEncoder(tokenizer, config.data.tokenizer)


def test_tokens_and_their_ends_spell_the_text(prepared_data, monkeypatch) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    vocabulary = load_vocabulary(data_dir)
    encoder = load_encoder(data_dir, config)
    monkeypatch.setattr(held_out_module, "MAX_DOCUMENTS", 5)
    documents = held_out_documents(data_dir, "text", encoder, vocabulary, config=config)
    expected = split_documents(data_dir, source="text", split="validation")
    assert len(documents) == 5
    assert {held_out.document.id for held_out in documents} < {d.id for d in expected}
    for held_out in documents:
        assert (held_out.ids[0], held_out.ids[-1]) == (vocabulary.bos, vocabulary.eos)
        assert vocabulary.decode(held_out.ids) == held_out.text == held_out.document.text.encode()
        assert np.all(np.diff(held_out.ends) >= 0)
        for i, end in enumerate(held_out.ends.tolist()):
            assert vocabulary.decode(held_out.ids[: i + 1]) == held_out.text[:end]


def test_they_are_a_sample_not_the_first(prepared_data, monkeypatch) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    vocabulary = load_vocabulary(data_dir)
    encoder = load_encoder(data_dir, config)
    every = list(split_documents(data_dir, source="text", split="validation"))
    found = {}
    for size in (5, 10, 1000):
        monkeypatch.setattr(held_out_module, "MAX_DOCUMENTS", size)
        documents = held_out_documents(data_dir, "text", encoder, vocabulary, config=config)
        found[size] = [held_out.document for held_out in documents]
    assert found[1000] == every
    assert [d for d in found[10] if d in found[5]] == found[5] != every[:5]
    assert [d for d in every if d in found[10]] == found[10] != every[:10]


def test_their_texts_are_bounded(prepared_data, monkeypatch) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    vocabulary = load_vocabulary(data_dir)
    encoder = load_encoder(data_dir, config)
    every = held_out_documents(data_dir, "text", encoder, vocabulary, config=config)
    monkeypatch.setattr(held_out_module, "MAX_BYTES", 2000, raising=False)
    fewer = held_out_documents(data_dir, "text", encoder, vocabulary, config=config)
    sizes = [len(held_out.text) for held_out in fewer]
    assert sum(sizes) - max(sizes) < 2000 <= sum(sizes) < sum(len(one.text) for one in every)
    monkeypatch.setattr(held_out_module, "MAX_DOCUMENTS", 2)
    assert len(held_out_documents(data_dir, "text", encoder, vocabulary, config=config)) == 2
