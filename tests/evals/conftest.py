"""A tiny model over bytes, and prepared validation rows, for every test of the evaluations."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import (
    DataConfig,
    ExecutionConfig,
    MeshConfig,
    ModelConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.data.items.eval_items import write_items
from codepretrain.data.packing.join_parts import MadeFrom, join_parts
from codepretrain.data.packing.write_part import Packing, TokenizedBatch, write_part
from codepretrain.evals.language_model import LanguageModel
from codepretrain.files.directory import whole_directory
from codepretrain.model.transformer import Params, bind, init_params, logical_axes
from codepretrain.rows.eval_items import ItemsManifest, items_directory
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.part import part_name
from codepretrain.rows.vocabulary import TOKENIZER, VOCABULARY, Vocabulary, tokenizer_directory
from codepretrain.train.sharding import make_mesh, param_shardings
from tests.configs import TINY_MODEL

TEXT = b"\n abcdefghijklmnopqrstuvwxyz0123456789+-*/()[]{},.:=_'\"#"
NUM_SPECIALS = 3


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Ids: pad 0, bos 1, eos 2, then one for each byte of TEXT, then empty token_bytes up to 64."""
    token_bytes = [b"", b"", b"", *(bytes([byte]) for byte in TEXT)]
    return Vocabulary(token_bytes + [b""] * (64 - len(token_bytes)), bos=1, eos=2, pad=0)


@pytest.fixture(scope="session")
def model_config() -> ModelConfig:
    return dataclasses.replace(TINY_MODEL, logit_scale=4.0, compute_dtype="float32")


@pytest.fixture(scope="session")
def mesh() -> Mesh:
    """All eight devices: 2 × 2 over rows and parameters, 2 within layers."""
    return make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))


@pytest.fixture(scope="session")
def params(model_config: ModelConfig) -> Params:
    """On one device, for reference computations."""
    return jax.jit(init_params, static_argnums=0)(model_config, jax.random.key(0))


@pytest.fixture(scope="session")
def sharded_params(params: Params, model_config: ModelConfig, mesh: Mesh) -> Params:
    shardings = param_shardings(logical_axes(model_config), params, mesh)
    return jax.tree.map(lambda x, s: jax.device_put(np.asarray(x), s), params, shardings)


@pytest.fixture(scope="session")
def model(model_config: ModelConfig, vocabulary: Vocabulary, mesh: Mesh) -> LanguageModel:
    """On all devices, in batches of 3, rounded up to 4; compiled once for all tests."""
    return LanguageModel(model_config, vocabulary, mesh, batch_size=3, max_seq_len=24)


@pytest.fixture(scope="session")
def config(model_config: ModelConfig) -> StudyConfig:
    """Three sources, two of one kind; rows of 16 tokens."""
    kinds = {"prose": "text", "markup": "code", "web_code": "code"}
    schedule = ScheduleConfig(shape="constant", peak_learning_rate=1e-3)
    return StudyConfig(
        name="tiny",
        model=model_config,
        data=DataConfig(
            sources={
                name: SourceConfig(reader="folder", kind=kind) for name, kind in kinds.items()
            },
            max_seq_len=16,
        ),
        training=TrainingConfig(batch_size=8),
        execution=ExecutionConfig(
            mesh=MeshConfig(data=2, fsdp=2, tensor=2), loss_vocab_block=16, num_microbatches=2
        ),
        phases={"only": PhaseConfig(tokens=1024, mixture={"prose": 1.0}, schedule=schedule)},
        variants={"only": "only"},
    )


@pytest.fixture(scope="session")
def documents(config: StudyConfig) -> dict[str, list[list[int]]]:
    """Held-out documents per source, as [bos] + ids + [eos], none longer than a row."""
    rng = np.random.default_rng(0)
    num_documents = {"prose": 9, "markup": 4, "web_code": 14}
    return {
        source: [
            [1, *rng.integers(3, 55, size=rng.integers(1, 14)).tolist(), 2]
            for _ in range(num_documents[source])
        ]
        for source in config.data.sources
    }


@pytest.fixture(scope="session")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory,
    config: StudyConfig,
    vocabulary: Vocabulary,
    documents: dict[str, list[list[int]]],
) -> Path:
    """A prepared data directory: vocabulary, held-out rows, items of the three tasks."""
    root = tmp_path_factory.mktemp("data")
    with whole_directory(tokenizer_directory(root)) as folder:
        vocabulary.save(folder / VOCABULARY)
        (folder / TOKENIZER).write_text("{}")
    for source, tokenized in documents.items():
        _write_rows(root, source, tokenized, config, vocabulary)
    _write_items(root)
    return root


def _write_rows(
    data_dir: Path,
    source: str,
    tokenized: list[list[int]],
    config: StudyConfig,
    vocabulary: Vocabulary,
) -> None:
    """Writes held-out rows in two parts."""
    directory = rows_directory(data_dir, source, "validation")
    how = Packing(
        identity="i",
        packing=config.data.packing,
        max_seq_len=config.data.max_seq_len,
        num_bytes=vocabulary.num_bytes,
    )
    parts = []
    for number, documents in enumerate((tokenized[:2], tokenized[2:])):
        batch = TokenizedBatch(
            provenance=[
                {"id": f"{i}", "num_bytes": len(vocabulary.decode(ids))}
                for i, ids in enumerate(documents, start=2 * number)
            ],
            tokens=[np.array(ids, np.int32) for ids in documents],
        )
        name = directory / part_name(number)
        parts.append(write_part(name, [batch], number=number, how=how))
    join_parts(
        directory,
        parts,
        made_from=MadeFrom(
            source=source,
            split="validation",
            identity="i",
            documents_hash="d",
            tokenizer_hash="t",
            vocabulary_hash="v",
        ),
        packing=config.data.packing,
        max_seq_len=config.data.max_seq_len,
        vocab_size=len(vocabulary),
    )


def _write_items(data_dir: Path) -> None:
    """Six questions with four choices each, and six sums to complete."""

    def ids(text: str) -> list[int]:
        return [TEXT.index(byte) + NUM_SPECIALS for byte in text.encode()]

    choices = ["two", "three", "four", "five"]
    questions = [
        {
            "id": f"q{i}",
            "document": f"d{i // 2}",
            "context": [1, *ids(f"question {i} ")],
            "choices": [ids(choice) for choice in choices],
            "answer": i % 3,
            "choice_bytes": [len(choice) for choice in choices],
        }
        for i in range(6)
    ]
    sums = [
        {
            "id": f"e{i}",
            "document": f"d{i // 2}",
            "prompt": [1, *ids(f"x = {i} + ")],
            "prompt_text": f"x = {i} + ",
            "expression_prefix": f"{i} + ",
            "expected": repr(i + 2),
            "reference": "2",
            "closing_is_right": False,
            "max_new_tokens": 4,
        }
        for i in range(6)
    ]
    tasks = {"prose_continuation": questions, "code_continuation": [], "python_expression": sums}
    manifest = ItemsManifest(
        format_version=2,
        settings_hash="s",
        tokenizer_hash="t",
        vocabulary_hash="v",
        documents_hashes={},
        num_items={task: len(items) for task, items in tasks.items()},
    )
    write_items(items_directory(data_dir), tasks, manifest)


@pytest.fixture(scope="session")
def plain_logits(model_config: ModelConfig, params: Params) -> Callable[[list[int]], np.ndarray]:
    """Token ids of one sequence, at most 32 → the logits of the whole forward pass: [T, V] float64.

    What stands behind the sequence to fill it up cannot reach back (causality, tested elsewhere).
    """

    @jax.jit
    def forward(params: Params, inputs: jax.Array) -> jax.Array:
        positions = jnp.broadcast_to(jnp.arange(32, dtype=jnp.int32)[None], inputs.shape)
        model = bind(model_config, params, remat_policy="none", attention_kernel="reference")
        hidden = model(inputs, positions=positions, segment_ids=jnp.ones_like(inputs))
        return model.logits(hidden)

    def logits(ids: list[int]) -> np.ndarray:
        filled = np.array([ids + [0] * (32 - len(ids))], np.int32)
        return np.asarray(forward(params, filled)[0, : len(ids)], np.float64)

    return logits
