import dataclasses
import json
from pathlib import Path

from codepretrain.config.schema import DecontaminationConfig
from codepretrain.data.prepare import prepare
from codepretrain.data.selection.selected import selection_directory, split_documents
from codepretrain.files.storage import remove_tree
from codepretrain.rows.vocabulary import tokenizer_directory
from tests.data.test_prepare import same_files


def test_a_tokenizer_that_was_deleted_is_made_again(prepared_data, tmp_path, quiet) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    remove_tree(tokenizer_directory(data_dir))
    prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)
    assert same_files(prepared_data.data_dir, data_dir)


def test_without_the_selection_all_that_was_made_from_it_is_made_again(
    make_study, tmp_path, quiet
) -> None:
    items = tmp_path / "items.jsonl"
    _write(items, ["an item that no document of the corpus has in any of its texts"])
    benchmarks = {"quiz": str(items)}
    config = make_study(decontamination=DecontaminationConfig(benchmarks=benchmarks))
    data_dir = tmp_path / "data" / "study"
    prepare(config, data_dir, num_workers=1, console=quiet)
    trained_on = [document.text for document in _train(data_dir)]
    _write(items, trained_on[: len(trained_on) // 2])
    remove_tree(selection_directory(data_dir))
    again = prepare(config, data_dir, num_workers=1, console=quiet)
    anew = prepare(config, tmp_path / "anew" / "study", num_workers=1, console=quiet)
    assert again.selection.num_documents["text"]["contaminated"]
    assert again.tokenizer_hash == anew.tokenizer_hash
    assert dataclasses.replace(again, seconds={}) == dataclasses.replace(anew, seconds={})


def _train(data_dir: Path) -> list:
    return list(split_documents(data_dir, source="text", split="train"))


def _write(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
