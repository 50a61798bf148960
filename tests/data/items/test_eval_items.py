"""Items of the local tasks: of held-out documents only, with ids."""

from codepretrain.data.selection.selected import split_documents
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.rows.data_dir import study_settings_hash
from codepretrain.rows.eval_items import load_items_manifest, read_items
from codepretrain.rows.vocabulary import tokenizer_hashes, tokenizer_path


def test_items_refer_to_held_out_documents(prepared_data) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    held_out = {
        source: {
            f"{source}/{document.id}"
            for document in split_documents(data_dir, source=source, split="validation")
        }
        for source in config.data.sources
    }
    for task, source in (
        ("prose_continuation", "text"),
        ("code_continuation", "code"),
        ("python_expression", "code"),
    ):
        items = read_items(data_dir, task)
        assert len(items) == prepared_data.data.num_items[task] > 4
        assert {item["document"] for item in items} <= held_out[source]
        assert [item["id"] for item in items] == [f"{task}/{n:05}" for n in range(len(items))]


def test_a_prompt_is_the_text_beside_it(prepared_data) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    item = read_items(data_dir, "python_expression")[0]
    assert tokenizer.decode(item["prompt"]) == item["prompt_text"]


def test_the_manifest_says_what_they_were_made_of(prepared_data) -> None:
    manifest, hashes = load_items_manifest(prepared_data.data_dir)
    assert manifest.settings_hash == study_settings_hash(prepared_data.config)
    found = (manifest.tokenizer_hash, manifest.vocabulary_hash)
    assert found == tokenizer_hashes(prepared_data.data_dir)
    rows = prepared_data.data.rows
    assert manifest.documents_hashes == {
        source: rows[source, "validation"].documents_hash for source in ("code", "text")
    }
    assert hashes.keys() == {f"{task}.jsonl" for task in manifest.num_items} | {"manifest.json"}
