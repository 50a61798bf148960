"""The study whose answer is known: what its data are, and that its variants are comparable."""

from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import Document
from codepretrain.data.prepare import prepare
from codepretrain.data.selection.selected import split_documents
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.rows.eval_items import read_items
from codepretrain.rows.vocabulary import tokenizer_path
from codepretrain.study.graph import resolve

EXPERIMENT = Path(__file__).parent.parent / "experiments" / "controlled.py"
FEWER = [
    f"--config.data.sources.{source}.options.num_documents={count}"
    for source, count in {"text": 3000, "code": 2000, "scrambled_code": 2000}.items()
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyConfig, Path]:
    config = load_study(EXPERIMENT, FEWER)
    data_dir = tmp_path_factory.mktemp("controlled") / "data" / "study"
    prepare(config, data_dir, num_workers=1, console=Console(quiet=True))
    return config, data_dir


def documents(data_dir: Path, source: str, split: str) -> list[Document]:
    return list(split_documents(data_dir, source=source, split=split))


def test_no_bindings_are_on_both_sides_of_the_split(prepared) -> None:
    config, data_dir = prepared
    groups = {
        split: {
            document.group
            for source in config.data.sources
            for document in documents(data_dir, source, split)
        }
        - {None}
        for split in ("train", "validation")
    }
    assert len(groups["validation"]) > 200
    assert not groups["train"] & groups["validation"]


def test_every_item_is_of_a_held_out_document_and_names_it_as_its_cluster(prepared) -> None:
    _, data_dir = prepared
    for task, source, least in (
        ("controlled_story", "text", 20),
        ("controlled_fact", "text", 300),
        ("controlled_code", "code", 100),
    ):
        held_out = {f"{source}/{d.id}" for d in documents(data_dir, source, "validation")}
        items = read_items(data_dir, task)
        assert len(items) > least
        assert {item["document"] for item in items} <= held_out


def test_every_word_of_the_language_is_one_token(prepared) -> None:
    config, data_dir = prepared
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    for source in config.data.sources:
        for document in documents(data_dir, source, "train")[:300]:
            ids = tokenizer.encode(document.text).ids
            assert len(ids) == document.text.count(" ")
            assert len(ids) + 2 <= config.data.max_seq_len
    for item in read_items(data_dir, "controlled_story"):
        assert [len(choice) for choice in item["choices"]] == [1, 1]


def test_variants_differ_in_the_mixture_alone() -> None:
    config = load_study(EXPERIMENT)
    phases = resolve(config)
    rates = {
        variant: [phase.learning_rate(step) for phase in path for step in range(phase.num_steps)]
        for variant, path in ((v, phases[last].path) for v, last in config.variants.items())
    }
    assert len(config.replicates) == 4
    for found in rates.values():
        assert found == pytest.approx(rates[config.baseline])
    trunks = {phases[last].path[0].name for last in config.variants.values()}
    assert trunks == {"text", "code_trunk", "scrambled_code"}
