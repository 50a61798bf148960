"""The data of HumanEval and MBPP: fetched from a stand-in of the hub, or placed by hand."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.code_generation import EVALUATOR
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.data_folder import read_manifest
from codepretrain.evals.harness.download import download
from codepretrain.evals.programs.benchmark_data import BENCHMARKS, read_benchmark
from codepretrain.evals.programs.options import TASKS, CodeGenerationOptions
from codepretrain.evals.progress import no_progress
from codepretrain.files.hashing import sha256_file
from tests.evals.programs.conftest import HUMAN_EVAL, MBPP
from tests.fixtures.hub import Hub

pytestmark = pytest.mark.filterwarnings("default")

DATASETS = {task: (known.reference, known.license) for task, known in BENCHMARKS.items()}
PATH = "config.evals.code.options.data"


@pytest.fixture
def fetched(hub: Hub, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    assert download({}, folder, no_progress, datasets=DATASETS) == []
    hub.calls.clear()
    return folder


def check_data(task: str, data: Path | str) -> None:
    options = CodeGenerationOptions(task=task, data=str(data))
    request: Request[Any] = Request(path="config.evals.code", num_examples=9, options=options)
    EVALUATOR.check_data(request)


def test_every_task_has_its_dataset() -> None:
    assert set(BENCHMARKS) == set(TASKS)


def test_what_is_fetched_is_read_without_network(hub: Hub, fetched: Path) -> None:
    assert read_benchmark("human_eval", str(fetched), path=PATH) == HUMAN_EVAL
    records = read_benchmark("mbpp", str(fetched), path=PATH)
    assert sorted(records, key=lambda record: record["task_id"]) == MBPP
    for task in TASKS:
        check_data(task, fetched)
    assert hub.calls == []


def test_digests_revision_and_license_are_recorded(fetched: Path) -> None:
    entries = {entry["path"]: entry for entry in read_manifest(fetched).values()}
    human_eval = entries["openai/openai_humaneval"]
    assert (human_eval["revision"], human_eval["license"]) == ("abc123", "cc-by-sa-3.0")
    (split,) = human_eval["splits"].values()
    assert split["sha256"] == sha256_file(fetched / split["file"])
    mbpp = entries["google-research-datasets/mbpp"]
    assert (mbpp["name"], sorted(mbpp["splits"])) == ("full", ["prompt", "test", "train"])


def test_it_is_fetched_once(hub: Hub, fetched: Path) -> None:
    assert download({}, fetched, no_progress, datasets=DATASETS) == []
    assert hub.calls == []
    (fetched / "openai--openai_humaneval" / "test.parquet").unlink()
    assert download({}, fetched, no_progress, datasets=DATASETS) == []
    assert [path for path, _, _ in hub.calls] == ["openai/openai_humaneval"]


def test_a_dataset_that_the_hub_lacks_is_named_and_the_others_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    moved = dataclasses.replace(DATASETS["mbpp"][0], path="moved/mbpp")
    datasets = {"mbpp": (moved, "CC-BY-4.0"), "human_eval": DATASETS["human_eval"]}
    (problem,) = download({}, tmp_path / "data", no_progress, datasets=datasets)
    assert problem.startswith("mbpp: DatasetNotFoundError: Dataset 'moved/mbpp' doesn't exist")
    check_data("human_eval", tmp_path / "data")


def test_a_damaged_file_is_named(fetched: Path) -> None:
    path = fetched / "openai--openai_humaneval" / "test.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{PATH}: .*test.parquet is damaged: it is not the file"):
        check_data("human_eval", fetched)
    path.unlink()
    with pytest.raises(UserError, match=f"{PATH}: .*test.parquet is missing, expected"):
        check_data("human_eval", fetched)


def test_missing_data_is_named_with_its_remedy(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    download({}, folder, no_progress, datasets={"human_eval": DATASETS["human_eval"]})
    with pytest.raises(UserError) as error:
        check_data("mbpp", folder)
    assert str(error.value) == (
        f"{PATH}: {folder} has no data of mbpp (google-research-datasets/mbpp (full)): fetch it "
        "with `codepretrain evaluate --download DIR` on a machine with network, and name DIR by "
        f"{PATH} or --data, or place its files in {folder}/google-research-datasets--mbpp--full"
    )
    with pytest.raises(UserError, match=f"{PATH}: there is no file or folder .*: fetch it with"):
        check_data("mbpp", tmp_path / "none")
    with pytest.raises(UserError, match=f"{PATH}: no data of mbpp is named: fetch it with"):
        check_data("mbpp", "")


def test_files_may_be_placed_by_hand(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "google-research-datasets--mbpp--full"
    place.mkdir()
    (place / "mbpp.jsonl").write_text("".join(json.dumps(record) + "\n" for record in MBPP))
    assert read_benchmark("mbpp", str(tmp_path), path=PATH) == MBPP
    download({}, tmp_path, no_progress, datasets={"human_eval": DATASETS["human_eval"]})
    assert read_benchmark("mbpp", str(tmp_path), path=PATH) == MBPP
