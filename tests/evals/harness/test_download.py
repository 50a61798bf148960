"""A hub in this process: `datasets.load_dataset` and `huggingface_hub.dataset_info` replaced."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from codepretrain.errors import UserError
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.data_folder import read_manifest
from codepretrain.evals.harness.download import CONVERTED, download, summary
from codepretrain.evals.harness.load_tasks import load_tasks
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.progress import no_progress
from codepretrain.files.hashing import sha256_file
from tests.evals.harness.conftest import BOOLQ, TRIVIA

pytestmark = pytest.mark.filterwarnings("default")


class Hub:
    """calls: (path, name, revision) of every request for data."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, str | None]] = []
        self.features = datasets.Features(
            {
                "passage": datasets.Value("string"),
                "question": datasets.Value("string"),
                "label": datasets.ClassLabel(names=["False", "True"]),
            }
        )

    def load_dataset(self, path: str, name: str | None = None, **options: Any) -> Any:
        revision = options.get("revision")
        self.calls.append((path, name, revision))
        if path == "aps/super_glue" and name == "boolq":
            rows = datasets.Dataset.from_list(BOOLQ, features=self.features)
            return datasets.DatasetDict(train=rows, validation=rows)
        if path == "mandarjoshi/trivia_qa":
            if revision != CONVERTED:
                raise RuntimeError("Dataset scripts are no longer supported, but found x.py")
            rows = datasets.Dataset.from_list(TRIVIA)
            return datasets.DatasetDict(train=rows, validation=rows)
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{path}' doesn't exist on the Hub")

    def dataset_info(self, path: str, revision: str | None = None) -> Any:
        return SimpleNamespace(sha="abc123", card_data={"license": ["cc-by-sa-3.0"]})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(datasets, "load_dataset", hub.load_dataset)
    monkeypatch.setattr(huggingface_hub, "dataset_info", hub.dataset_info)
    return hub


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
