"""A tiny model with a trained tokenizer, small tasks in the harness's format, and their data."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import pytest

from codepretrain.config.schema import MeshConfig, TokenizerConfig
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.model.transformer import Params, init_params
from codepretrain.rows.vocabulary import Vocabulary, load_vocabulary
from codepretrain.train.sharding import make_mesh
from tests.configs import TINY_MODEL
from tests.fixtures.hub import BOOLQ, TRIVIA

pytestmark = pytest.mark.filterwarnings("default")

MODEL = dataclasses.replace(TINY_MODEL, vocab_size=320, logit_scale=4.0, compute_dtype="float32")
CORPUS = [
    "Passage one is about rivers and the stones under them. Is a river long? Answer: yes\n" * 9,
    "Question: what is the capital of France? Answer: Paris. Who wrote it? Answer: no one\n" * 9,
]
TEXTS = [{"page": f"Rivers and stones, number {n}. " * (n + 1)} for n in range(3)]


@pytest.fixture(scope="session")
def text_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a tokenizer only."""
    root = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=320)
    save_tokenizer(train_tokenizer(CORPUS, config), config, root)
    return root


@pytest.fixture(scope="session")
def tokenizer(text_dir: Path) -> TextTokenizer:
    return TextTokenizer.load(text_dir)


@pytest.fixture(scope="session")
def text_vocabulary(text_dir: Path) -> Vocabulary:
    return load_vocabulary(text_dir, vocab_size=320)


@pytest.fixture(scope="session")
def text_params() -> Params:
    return jax.jit(init_params, static_argnums=0)(MODEL, jax.random.key(1))


@pytest.fixture(scope="session")
def text_model(text_vocabulary: Vocabulary) -> LanguageModel:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    return LanguageModel(MODEL, text_vocabulary, mesh, batch_size=4, max_seq_len=128)


def place(
    folder: Path,
    path: str,
    splits: Mapping[str, Any],
    name: str | None = None,
) -> Path:
    """Places a dataset by hand, as JSON lines."""
    directory = folder / DatasetReference.of(path, name, {}).folder
    directory.mkdir(parents=True)
    for split, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{split}.jsonl").write_text(lines)
    return directory


@pytest.fixture
def task_data(tmp_path: Path) -> Path:
    """Data of boolq and triviaqa in the fields of the hub."""
    folder = tmp_path / "task-data"
    place(folder, "aps/super_glue", {"train": BOOLQ, "validation": BOOLQ}, "boolq")
    place(folder, "mandarjoshi/trivia_qa", {"train": TRIVIA, "validation": TRIVIA}, "rc.nocontext")
    return folder


@pytest.fixture
def own_tasks(tmp_path: Path) -> Path:
    """A folder of task files: `pages` scores whole texts, `capitals` writes answers."""
    folder = tmp_path / "own-tasks"
    folder.mkdir()
    contents: dict[str, list[dict[str, Any]]] = {"pages": TEXTS, "capitals": TRIVIA}
    for name, rows in contents.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "pages.yaml").write_text(
        """
task: pages
dataset_path: json
dataset_kwargs: {data_files: {test: pages.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{page}}"
metric_list:
  - metric: bits_per_byte
  - metric: word_perplexity
metadata: {version: 3.0}
"""
    )
    (folder / "capitals.yaml").write_text(
        """
task: capitals
dataset_path: json
dataset_kwargs: {data_files: {test: capitals.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "Question: {{question}}?\\nAnswer:"
doc_to_target: "{{answer.aliases}}"
generation_kwargs: {until: ["\\n", "."], max_gen_toks: 8}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
metadata: {version: 1.0}
"""
    )
    return folder
