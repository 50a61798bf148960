from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.data_folder import read_manifest
from codepretrain.evals.harness.download import CONVERTED, download, summary
from codepretrain.evals.harness.load_tasks import load_tasks
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.progress import no_progress
from codepretrain.files.hashing import sha256_file
from tests.fixtures.hub import BOOLQ, Hub

pytestmark = pytest.mark.filterwarnings("default")


def requests(tasks: str, **options: Any) -> dict[str, Request[HarnessOptions]]:
    chosen = HarnessOptions(tasks=tasks, **options)
    return {"suite": Request(path="config.evals.suite", num_examples=10, options=chosen)}


def test_what_is_fetched_is_evaluated_without_network(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert download(requests("boolq"), folder, no_progress) == []
    (entry,) = read_manifest(folder).values()
    assert (entry["path"], entry["name"]) == ("aps/super_glue", "boolq")
    assert (entry["revision"], entry["license"]) == ("abc123", "cc-by-sa-3.0")
    validation = entry["splits"]["validation"]
    assert (validation["file"], validation["rows"]) == (
        "aps--super_glue--boolq/validation.parquet",
        6,
    )
    assert validation["sha256"] == sha256_file(folder / validation["file"])
    assert "1 datasets, 2 splits" in summary(folder)
    hub.calls.clear()
    (loaded,) = load_tasks(requests("boolq", data=str(folder))["suite"].options, path="p")
    assert [dict(row) for row in loaded.task.eval_docs] == BOOLQ
    assert loaded.task.eval_docs.features["label"].names == ["False", "True"]
    assert hub.calls == []


def test_a_dataset_that_the_hub_lacks_is_named_and_the_others_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    (problem,) = download(requests("piqa,boolq"), tmp_path / "data", no_progress)
    assert problem.startswith("piqa: DatasetNotFoundError: Dataset 'baber/piqa' doesn't exist")
    assert [entry["name"] for entry in read_manifest(tmp_path / "data").values()] == ["boolq"]


def test_the_hubs_own_conversion_stands_in_for_a_script(hub: Hub, tmp_path: Path) -> None:
    assert download(requests("triviaqa"), tmp_path / "data", no_progress) == []
    (entry,) = read_manifest(tmp_path / "data").values()
    assert entry["revision"] == CONVERTED
    assert [revision for _, _, revision in hub.calls] == ["abc123", CONVERTED]


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    download(requests("boolq"), folder, no_progress)
    download(requests("boolq,triviaqa"), folder, no_progress)
    assert [path for path, _, _ in hub.calls].count("aps/super_glue") == 1
    (folder / "aps--super_glue--boolq" / "train.parquet").unlink()
    download(requests("boolq"), folder, no_progress)
    assert [path for path, _, _ in hub.calls].count("aps/super_glue") == 2
    assert (folder / "aps--super_glue--boolq" / "train.parquet").exists()


def test_tasks_of_local_files_need_no_download(hub: Hub, own_tasks: Path, tmp_path: Path) -> None:
    """Their files are named relative to the folder of the tasks."""
    folder = tmp_path / "data"
    chosen = requests("capitals,pages,boolq", include_path=str(own_tasks))
    assert download(chosen, folder, no_progress) == []
    assert [entry["name"] for entry in read_manifest(folder).values()] == ["boolq"]


def test_an_interrupted_download_leaves_no_part_of_a_dataset(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    written = []

    def stop(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("codepretrain.evals.harness.download.write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        download(requests("boolq"), folder, no_progress)
    monkeypatch.undo()
    with pytest.raises(UserError, match="no data of aps/super_glue"):
        load_tasks(requests("boolq", data=str(folder))["suite"].options, path="p")


def test_a_task_that_does_not_exist_is_an_error_before_anything_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no task or group 'boolqq'; did you mean boolq"):
        download(requests("boolqq"), tmp_path / "data", no_progress)
    assert hub.calls == []
