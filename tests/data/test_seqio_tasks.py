"""What a user of seqio imports, through seqio's own functions."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import seqio
from etils import epath
from rich.console import Console

from codepretrain.data.prepare import prepare
from codepretrain.data.seqio_tasks import (
    register,
    register_file,
)
from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.errors import UserError
from codepretrain.files.storage import remove_tree
from codepretrain.rows.data_dir import data_dir
from codepretrain.rows.store import open_sources
from codepretrain.rows.vocabulary import tokenizer_directory, tokenizer_path
from codepretrain.stream.order import RowOrder
from codepretrain.stream.stages import phase_stages
from tests.conftest import TINY
from tests.fixtures.seqio_study import SeqioStudy

BOS, EOS = 1, 2


@pytest.fixture
def vocabulary(seqio_data) -> ByteLevelBPE:
    return ByteLevelBPE(tokenizer_path(seqio_data.data_dir), seqio_data.config.data.tokenizer)


def test_every_phase_and_stage_is_registered_for_documents_and_rows(seqio_data) -> None:
    names = register(seqio_data.config, seqio_data.workdir)
    phases = ["pretrain", "pretrain.stage0", "pretrain.stage1", "continued", "continued.stage0"]
    tasks = ["codepretrain.tiny.code", "codepretrain.tiny.text"]
    mixtures = [f"codepretrain.tiny.mixture.{phase}" for phase in phases]
    assert sorted(names) == sorted(
        [*tasks, *mixtures, *(f"{name}.rows" for name in (*tasks, *mixtures))]
    )
    found = [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]
    assert set(names) == {name for name in found if name.startswith("codepretrain.tiny.")}


def test_a_task_gives_every_document_in_order(registered, vocabulary) -> None:
    expected = registered.texts("text")
    assert len(expected) > 64, "more than one batch"
    dataset = seqio.get_dataset(
        "codepretrain.tiny.text",
        {"targets": 2000},
        seqio.PassThroughFeatureConverter(),
        shuffle=False,
    )
    wanted = [
        {"targets": [*vocabulary.encode(text), EOS], "document": number}
        for number, text in enumerate(expected)
    ]
    seqio.test_utils.assert_dataset(dataset, wanted)
    task = seqio.get_mixture_or_task("codepretrain.tiny.text")
    assert task.num_input_examples("train") == len(expected)
    assert task.output_features["targets"].vocabulary == vocabulary


def test_text_that_a_user_injects_is_tokenized(registered, vocabulary) -> None:
    raw = {"train": {"text": b"the quick fox", "document": np.int64(7)}}
    found = seqio.test_utils.test_preprocessing_single("codepretrain.tiny.text", raw)
    assert found["targets"].tolist() == [*vocabulary.encode("the quick fox"), EOS]
    assert found["document"] == 7


@pytest.mark.parametrize("converter", [seqio.LMFeatureConverter, seqio.DecoderFeatureConverter])
def test_documents_are_packed_by_seqio(registered, vocabulary, converter) -> None:
    """Its packed examples hold the same inputs, targets and positions as our rows."""
    dataset = seqio.get_dataset(
        "codepretrain.tiny.code",
        {"targets": 256},
        converter(pack=True, bos_id=BOS),
        dataset_split="validation",
        shuffle=False,
    )
    pairs = set()
    for example in dataset.as_numpy_iterator():
        segments = example["decoder_segment_ids"]
        for segment in range(1, segments.max() + 1):
            where = segments == segment
            length = int(where.sum())
            targets = example["decoder_target_tokens"][where].tolist()
            inputs = example["decoder_input_tokens"][where].tolist()
            assert inputs == [BOS, *targets[:-1]]
            assert example["decoder_positions"][where].tolist() == list(range(length))
            assert (example["decoder_loss_weights"][where] == 1).all()
            pairs.add(tuple(targets))
    assert pairs == {
        (*vocabulary.encode(text), EOS)[:256] for text in registered.texts("code", "validation")
    }


def plan_shares(data: SeqioStudy, phase: str, stage: int | None) -> dict[str, float]:
    """Returns each source's share of the rows in the order in which training reads them."""
    config = data.config
    stages = phase_stages(phase, config.phases[phase], config)
    stores = open_sources(data.data_dir, config.data.sources, "train")
    order = RowOrder.build(
        stages,
        batch_size=config.training.batch_size,
        start_ordinals={},
        seed=config.seed,
        rows_available={source: len(store) for source, store in stores.items()},
    )
    start = 0 if stage is None else sum(s.num_rows for s in stages[:stage])
    stop = order.num_rows if stage is None else start + stages[stage].num_rows
    before, after = order.counts(start), order.counts(stop)
    return {source: (after[source] - before[source]) / (stop - start) for source in order.sources}


# Of 4,000 examples, a share has a standard error below 0.01; tokens of documents vary more.
NUM_DRAWN = 4000
STAGES = pytest.mark.parametrize(("stage", "suffix"), [(None, ""), (0, ".stage0"), (1, ".stage1")])


@STAGES
def test_documents_are_drawn_in_the_plans_shares_of_tokens(
    registered, vocabulary, stage, suffix
) -> None:
    source_of = {
        (*vocabulary.encode(text), EOS): source
        for source in registered.config.data.sources
        for text in registered.texts(source)
    }
    mixture = seqio.get_mixture_or_task(f"codepretrain.tiny.mixture.pretrain{suffix}")
    dataset = mixture.get_dataset(None, split="train", shuffle=True, seed=1)
    drawn = dict.fromkeys(registered.config.data.sources, 0)
    for example in dataset.take(NUM_DRAWN).as_numpy_iterator():
        targets = tuple(example["targets"].tolist())
        drawn[source_of[targets]] += len(targets)
    shares = {source: count / sum(drawn.values()) for source, count in drawn.items()}
    assert shares == pytest.approx(plan_shares(registered, "pretrain", stage), abs=0.03)


@STAGES
def test_rows_are_drawn_in_the_plans_shares(registered, stage, suffix) -> None:
    stores = open_sources(registered.data_dir, registered.config.data.sources, "train")
    source_of = {
        store[number].tokens[:-1].tobytes(): source
        for source, store in stores.items()
        for number in range(len(store))
    }
    dataset = seqio.get_dataset(
        f"codepretrain.tiny.mixture.pretrain{suffix}.rows",
        {"targets": 64},
        seqio.feature_converters.PrePackedLMFeatureConverter(),
        shuffle=True,
        num_epochs=None,
        seed=1,
    )
    drawn = dict.fromkeys(stores, 0)
    for example in dataset.take(NUM_DRAWN).as_numpy_iterator():
        drawn[source_of[example["decoder_input_tokens"].tobytes()]] += 1
    shares = {source: count / NUM_DRAWN for source, count in drawn.items()}
    assert shares == pytest.approx(plan_shares(registered, "pretrain", stage), abs=0.03)


def test_a_changed_study_leaves_nothing_stale(registered) -> None:
    assert "codepretrain.tiny.mixture.pretrain.stage1" in seqio.MixtureRegistry.names()
    old = seqio.get_mixture_or_task("codepretrain.tiny.text.rows")
    other = "codepretrain.tiny_two.text"  # of another study
    seqio.TaskRegistry.add_provider(other, seqio.get_mixture_or_task("codepretrain.tiny.text"))
    phase = dataclasses.replace(
        registered.config.phases["pretrain"],
        mixture={"text": 0.4, "code": 0.6},
        mixture_changes=(),
    )
    changed = dataclasses.replace(registered.config, phases={"pretrain": phase})
    assert len(register(changed, registered.workdir)) == 8
    mixtures = [n for n in seqio.MixtureRegistry.names() if n.startswith("codepretrain.tiny.")]
    assert sorted(mixtures) == [
        f"codepretrain.tiny.mixture.pretrain{suffix}"
        for suffix in ("", ".rows", ".stage0", ".stage0.rows")
    ]
    rows = seqio.get_mixture_or_task("codepretrain.tiny.mixture.pretrain.rows")
    task = seqio.get_mixture_or_task("codepretrain.tiny.text.rows")
    assert task is not old
    assert [t for t in rows.tasks if t.name == task.name] == [task]
    assert rows.get_rate(task) == pytest.approx(0.4)
    assert other in seqio.TaskRegistry.names()
    seqio.TaskRegistry.remove(other)


def test_unprepared_data_is_an_error_that_says_what_to_do(registered, tmp_path) -> None:
    with pytest.raises(UserError, match=r"run `codepretrain prepare` first"):
        register(registered.config, tmp_path)
    assert "codepretrain.tiny.text" in seqio.TaskRegistry.names(), "what was registered remains"
    data = dataclasses.replace(registered.config.data, max_seq_len=128)
    with pytest.raises(UserError, match=r"run `codepretrain prepare` first"):
        register(dataclasses.replace(registered.config, data=data), registered.workdir)


def test_data_on_an_object_store(seqio_data, memory: epath.Path) -> None:
    config, folder = seqio_data.config, data_dir(memory, seqio_data.config)
    prepare(config, folder, num_workers=1, console=Console(file=io.StringIO()))
    register(config, str(memory))
    for name in ("code", "code.rows", "mixture.pretrain", "mixture.pretrain.rows"):
        name = f"codepretrain.tiny.{name}"
        dataset = seqio.get_mixture_or_task(name).get_dataset(None, split="validation", seed=0)
        assert len(list(dataset.take(4))) == 4, name
    remove_tree(tokenizer_directory(folder))
    with pytest.raises(UserError, match=r"run `codepretrain prepare` first"):
        register(config, str(memory))


def test_a_config_file_is_registered_in_a_fresh_process(prepared: Path, tiny_overrides) -> None:
    program = (
        "import sys, seqio\n"
        "from codepretrain.data import seqio_tasks\n"
        "seqio_tasks.register_file(sys.argv[1], sys.argv[2], sys.argv[3:])\n"
        "mixture = seqio.get_mixture_or_task('codepretrain.tiny.mixture.trunk.rows')\n"
        "dataset = seqio.get_dataset(mixture.name, {'targets': 64},\n"
        "    seqio.feature_converters.PrePackedLMFeatureConverter(), batch_size=8)\n"
        "print(next(dataset.as_numpy_iterator())['decoder_input_tokens'].shape)\n"
    )
    command = [sys.executable, "-c", program, str(TINY), str(prepared), *tiny_overrides]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "(8, 64)\n"


def test_an_unknown_option_is_named(prepared: Path) -> None:
    with pytest.raises(UserError, match=r"config\.data\.nothing"):
        register_file(TINY, prepared, ["--config.data.nothing=1"])
