"""The reader of synthetic code: few problems, really verified."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from codepretrain.data.engines.workers import worker_processes
from codepretrain.data.readers import synthetic_code
from codepretrain.data.synthetic import verdict_cache
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.problem import Problem
from codepretrain.errors import UserError
from tests.data.readers.reading import read, read_shards, reader


def test_generated_problems_are_verified_documents() -> None:
    documents, skipped = read(reader("synthetic_code", num_problems=6, seed=3))
    assert skipped == []
    problems = [generate(3, i) for i in range(6)]
    assert [document.id for document in documents] == [problem.id for problem in problems]
    assert [d.group for d in documents] == [f"synthetic/{p.family}" for p in problems]
    for document, problem in zip(documents, problems, strict=True):
        assert document.metadata["family"] == problem.family
        assert document.metadata["teacher"] == "reference"
        assert document.metadata["sandbox"].startswith("limits+")
        assert (document.language, document.license) == ("python", "Apache-2.0")
        assert problem.solution in document.text


def test_the_documents_do_not_depend_on_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_code, "_PROBLEMS_PER_SHARD", 3)
    made = reader("synthetic_code", num_problems=7)
    shards = made.shards()
    assert shards == [range(3), range(3, 6), range(6, 7)]
    alone = read_shards(made, shards)
    with ThreadPoolExecutor(3) as threads:
        assert read_shards(made, shards, threads) == alone
    with worker_processes(2) as processes:
        assert read_shards(made, shards, processes) == alone


def _other_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_code, "render", lambda problem, solution: solution)


def _other_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Problem, "split_group", "all")


@pytest.mark.parametrize("change", [_other_text, _other_groups])
def test_a_change_of_the_generator_is_a_change_of_its_material(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    made = reader("synthetic_code", num_problems=100)
    first, second = (made.files(shard) for shard in made.shards())
    assert first == second
    assert first[0].version
    change(monkeypatch)
    synthetic_code._generator_version.cache_clear()
    try:
        assert made.files(range(64)) != first
    finally:
        synthetic_code._generator_version.cache_clear()


def test_a_second_run_runs_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reader("synthetic_code", num_problems=4, verdicts=str(tmp_path / "verdicts"))
    first = read(made)

    def refuse(*_, **__):
        raise AssertionError("a program was run")

    monkeypatch.setattr(verdict_cache, "verify", refuse)
    assert read(made) == first
    assert len(first[0]) == 4


def test_candidates_of_a_file_are_verified(tmp_path: Path) -> None:
    problem = generate(0, 1)
    right, wrong = problem.solution or "", f"def {problem.name}(*args):\n    return None\n"
    solutions = [right, wrong, f"{right}# again\n", "def", f"{right}# Tests\n"]
    lines = [
        json.dumps({"problem": problem.to_json(), "solution": s, "teacher": "m", "license": "MIT"})
        for s in solutions
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join([*lines, "broken"]))
    documents, skipped = read(reader("synthetic_code", candidates=str(path)))
    assert len(documents) == 2
    assert len({document.id for document in documents}) == 2
    assert {document.group for document in documents} == {f"synthetic/{problem.family}"}
    assert {document.metadata["teacher"] for document in documents} == {"m"}
    assert [item.reason for item in skipped] == [
        "not verified: wrong",
        "not verified: not Python",
        "contains a heading of the layout",
        "not a JSON object",
    ]


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"num_problems: expected 1 to .*, found 0"):
        reader("synthetic_code", num_problems=0).shards()
    with pytest.raises(UserError, match=r"no file matches candidates '/nowhere'"):
        reader("synthetic_code", candidates="/nowhere").shards()


def test_files_of_candidates_with_one_name_are_told_apart(tmp_path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_text("{}")
    made = reader("synthetic_code", candidates=f"{tmp_path}/*/x.jsonl")
    names = [file.name for shard in made.shards() for file in made.files(shard)]
    assert names == ["a/x.jsonl", "b/x.jsonl"]


def test_candidates_below_a_glob_in_an_object_store(candidate: str) -> None:
    store = fsspec.filesystem("memory")
    for folder in ("a", "b/c"):
        store.pipe_file(f"/answers/{folder}/x.jsonl", candidate.encode())
    try:
        made = reader("synthetic_code", candidates="memory://answers/**/*.jsonl")
        names = [file.name for shard in made.shards() for file in made.files(shard)]
        assert names == ["a/x.jsonl", "b/c/x.jsonl"]
        assert [d.metadata["teacher"] for d in read(made)[0]] == ["m", "m"]
    finally:
        store.rm("/answers", recursive=True)


def test_candidates_in_folders_at_any_depth(tmp_path: Path, candidate: str) -> None:
    for folder in ("a", "b/c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.jsonl").write_text(candidate)
    made = reader("synthetic_code", candidates=f"{tmp_path}/**/*.jsonl")
    assert [file.name for file in made.list_files()] == ["a/x.jsonl", "b/c/x.jsonl"]


@pytest.fixture
def candidate() -> str:
    problem = generate(0, 1)
    value = {"problem": problem.to_json(), "solution": problem.solution, "teacher": "m"}
    return json.dumps(value)
