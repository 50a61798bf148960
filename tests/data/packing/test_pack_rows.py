"""Rows are made part by part: each alone gives the same bytes, and studies share them."""

import dataclasses
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import seqio

from codepretrain.config.schema import SourceConfig
from codepretrain.data.engines.engine import Engine
from codepretrain.data.packing import pack_rows as pack_rows_module
from codepretrain.data.packing.pack_part import pack_part
from codepretrain.data.packing.pack_rows import part_limits
from codepretrain.data.prepare import prepare
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.seqio_tasks import register
from codepretrain.errors import UserError
from codepretrain.files.storage import remove_tree
from codepretrain.rows.folders import load_folders, rows_pool
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.part import load_part, part_name
from codepretrain.rows.store import RowStore
from codepretrain.rows.vocabulary import tokenizer_directory, tokenizer_path

ROOT = Path(__file__).parents[3]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The (folder of the rows, number) of every part that is packed or looked at."""
    found: list[tuple[str, int]] = []

    def noting(task):
        found.append((Path(task.directory).name, task.number))
        return pack_part(task)

    monkeypatch.setattr(pack_rows_module, "pack_part", noting)
    return found


def test_part_limits_by_hand() -> None:
    sizes = np.array([3, 4, 1, 12, 2, 0, 9], np.int64)
    assert list(part_limits(sizes, 8)) == [(0, 3), (3, 4), (4, 7)]
    assert list(part_limits(sizes, 1)) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 7)]
    assert list(part_limits(sizes, 100)) == [(0, 7)]
    assert list(part_limits(sizes[:0], 8)) == []


class _Reversed(Engine):
    """Runs the last task first."""

    def map(self, function, tasks):
        return reversed([function(task) for task in reversed(list(tasks))])


def test_any_order_gives_the_same_bytes(prepared_data, tmp_path, quiet, monkeypatch) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    remove_tree(rows_pool(data_dir))
    with monkeypatch.context() as patch:
        original = pack_rows_module.pack_rows

        def reversed_order(config, data_dir, engine, progress):
            original(config, data_dir, _Reversed(), progress)

        patch.setattr("codepretrain.data.prepare.pack_rows", reversed_order)
        prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)
    expected = contents(Path(rows_pool(prepared_data.data_dir)))
    assert contents(Path(rows_pool(data_dir))) == expected


def test_a_part_made_alone_has_the_same_bytes(prepared_data, tmp_path, quiet, packed) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    directory = Path(rows_directory(data_dir, "code", "train"))
    before = contents(directory)
    remove_tree(directory / "part-00001")
    (directory / "files.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in directory.glob("part-*/files.json")}
    prepare(prepared_data.config, data_dir, num_workers=1, console=quiet)
    assert contents(directory) == before
    assert {name for name, _ in packed} == {directory.name}, "other sources are not looked at"
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    # alone, with no other part beside it
    remove_tree(directory)
    (tasks,) = [planned.tasks for planned in plan(prepared_data.config, data_dir, "code")]
    pack_part(tasks[2])
    name = part_name(2)
    assert contents(directory) == {k: v for k, v in before.items() if k.startswith(name)}
    assert load_part(directory / name).num_documents == tasks[2].num_documents


def plan(config, data_dir, source: str):
    inputs = pack_rows_module.find_inputs(config, data_dir)[source, "train"]
    directory = rows_directory(data_dir, source, "train")
    yield pack_rows_module.plan_parts(config, data_dir, inputs, directory)


def test_another_part_in_the_place_is_named(prepared_data, tmp_path) -> None:
    data_dir = prepared_data.copy(tmp_path / "data")
    (planned,) = plan(prepared_data.config, data_dir, "code")
    wrong = dataclasses.replace(planned.tasks[0], num_documents=1)
    with pytest.raises(UserError, match=r"part-00000/part.json: num_documents is \d+, expected 1;"):
        pack_part(wrong)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_flipped_bit_of_the_documents_is_noticed(
    prepared_data, tmp_path, quiet, num_workers
) -> None:
    """By the worker that reads the part, before it packs."""
    data_dir = prepared_data.copy(tmp_path / "data")
    remove_tree(rows_pool(data_dir))
    documents = open_documents(data_dir, "text")
    path = Path(documents.part_folder(documents.manifest.parts[0])) / "documents.arrayrecord"
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    with pytest.raises(UserError, match=rf"{path.parent}: {path.name} was altered: its sha256 dif"):
        prepare(prepared_data.config, data_dir, num_workers=num_workers, console=quiet)
    assert not list(Path(rows_pool(data_dir)).glob("text-*/part-*"))


def test_adding_a_source_packs_nothing_of_the_others(
    prepared_data, make_study, tmp_path, quiet, packed
) -> None:
    given = tmp_path / "given.json"
    given.write_bytes(tokenizer_path(prepared_data.data_dir).read_bytes())
    config = make_study(tokenizer={"path": str(given)})
    first = tmp_path / "data" / "first"
    prepare(config, first, num_workers=1, console=quiet)
    lines = [f'{{"text": "document {i} of a third source"}}\n' for i in range(3)]
    (tmp_path / "more.jsonl").write_text("".join(lines))
    more = SourceConfig(reader="jsonl", kind="text", options={"path": str(tmp_path / "more.jsonl")})
    sources = {**config.data.sources, "more": more}
    second = tmp_path / "data" / "second"
    packed.clear()
    data = prepare(
        dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources)),
        second,
        num_workers=1,
        console=quiet,
    )
    assert {name.split("-")[0] for name, _ in packed} == {"more"}
    assert data.rows["more", "train"].num_documents > 0
    for source in config.data.sources:
        assert rows_directory(first, source, "train") == rows_directory(second, source, "train")
    # what does not concern rows packs nothing
    packed.clear()
    third = make_study(tokenizer={"path": str(given)}, sources=config.data.sources)
    third = dataclasses.replace(third, name="third", seed=7)
    prepare(third, tmp_path / "data" / "third", num_workers=1, console=quiet)
    assert packed == []
    # and what does, packs all
    prepare(
        make_study(tokenizer={"path": str(given)}, max_seq_len=32),
        tmp_path / "data" / "fourth",
        num_workers=1,
        console=quiet,
    )
    assert {name.split("-")[0] for name, _ in packed} == {"code", "text"}
    assert len(list(Path(rows_pool(first)).iterdir())) == 2 * 2 + 2 + 4


def test_a_given_tokenizer_with_other_bytes_packs_again(
    prepared_data, make_study, tmp_path, quiet
) -> None:
    """Equal settings otherwise: the folder is named by the tokenizer's contents."""
    given = tmp_path / "given.json"
    given.write_bytes(tokenizer_path(prepared_data.data_dir).read_bytes())
    config = make_study(tokenizer={"path": str(given)})
    data_dir = tmp_path / "data" / "study"
    prepare(config, data_dir, num_workers=1, console=quiet)
    before = load_folders(data_dir)
    given.write_text(given.read_text() + "\n")
    remove_tree(tokenizer_directory(data_dir))
    for name in ("held_out", "evals"):
        remove_tree(data_dir / name)
    prepare(config, data_dir, num_workers=1, console=quiet)
    after = load_folders(data_dir)
    assert all(before[key].folder != after[key].folder for key in before)


def test_rows_hold_the_token_ids_that_the_seqio_tasks_yield(seqio_data) -> None:
    register(seqio_data.config, seqio_data.workdir)
    for source, split in itertools.product(seqio_data.config.data.sources, SPLITS):
        directory = rows_directory(seqio_data.data_dir, source, split)
        store = RowStore(directory, source=source, split=split)
        segments: dict[int, dict[int, list[int]]] = {}
        for row in (store[number] for number in range(len(store))):
            for i, document in enumerate(row.documents.tolist()):
                start, length = int(row.segment_starts[i]), int(row.segment_lengths[i])
                ids = row.tokens[start : start + length].tolist()
                segments.setdefault(document, {})[int(row.document_offsets[i])] = ids
        task = seqio.get_mixture_or_task(f"codepretrain.tiny.{source}")
        assert isinstance(task, seqio.Task)
        bos = task.output_features["targets"].vocabulary.bos_id
        dataset = task.get_dataset(None, split=split, shuffle=False)
        expected = [[bos, *example["targets"].tolist()] for example in dataset.as_numpy_iterator()]
        assert len(expected) == len(segments) == store.manifest.num_documents
        for number, tokens in enumerate(expected):
            first, *others = (ids for _, ids in sorted(segments[number].items()))
            assert [*first, *(token for ids in others for token in ids[1:])] == tokens


_PREPARE = """
import sys
from pathlib import Path
from rich.console import Console
from codepretrain.data.prepare import prepare
from tests.fixtures.corpus import study

corpus, data_dir, num_workers = sys.argv[1:]
config = study(Path(corpus), part_bytes=1_000)
prepare(config, data_dir, num_workers=int(num_workers), console=Console(file=sys.stderr))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_ended_while_it_packs_it_keeps_finished_parts(
    corpus, make_study, tmp_path, quiet, num_workers, number
) -> None:
    """Ended when some parts are whole, wherever it is then; the next run makes only the rest."""
    config = make_study(part_bytes=1_000)
    unbroken, data_dir = tmp_path / "unbroken" / "study", tmp_path / "killed" / "study"
    prepare(config, unbroken, num_workers=1, console=quiet)
    command = [sys.executable, "-c", _PREPARE, str(corpus), str(data_dir), str(num_workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
    target = random.Random(num_workers).randint(3, 12)
    finished: list[Path] = []
    while len(finished) < target:
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        time.sleep(0.002)
        finished = list(Path(rows_pool(data_dir)).glob("*/part-*/files.json"))
    process.send_signal(number)
    process.communicate()
    pool = Path(rows_pool(data_dir))
    if number == signal.SIGINT:
        assert not list(pool.rglob("*.partial*")), "Ctrl-C cleans up"
    kept = {path: path.stat().st_mtime_ns for path in finished}
    assert not (data_dir / "rows.json").exists()
    prepare(config, data_dir, num_workers=1, console=quiet)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert contents(Path(rows_pool(data_dir))) == contents(Path(rows_pool(unbroken)))
