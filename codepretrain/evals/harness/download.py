"""Fetches the data of tasks from the Hugging Face Hub, once, on a machine with network.

    codepretrain evaluate --config FILE --download DIR

Every split is written as a Parquet file, and the manifest records its SHA-256, the revision that it
was fetched from, and the license. What is there already is not fetched again. A dataset that cannot
be fetched is named, and the others are fetched.
"""

import contextlib
import functools
import importlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from etils import epath

from codepretrain.errors import UserError, described
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.data_folder import DataFolder, read_manifest, write_manifest
from codepretrain.evals.harness.dataset_calls import LoadDataset, answered, load_dataset
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.harness.libraries import PACKAGES, quiet, require
from codepretrain.evals.harness.load_tasks import members
from codepretrain.evals.harness.options import HarnessOptions, names
from codepretrain.evals.harness.suite import TASKS
from codepretrain.evals.harness.task_index import manager_of
from codepretrain.evals.progress import Progress
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.directory import whole_directory
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.storage import StrPath

if TYPE_CHECKING:
    from datasets import DatasetDict

# Where the Hub keeps its own conversion of a dataset that is published as a Python script, which
# `datasets` no longer runs.
CONVERTED = "refs/convert/parquet"
_NUM_ROWS = 8  # that a task is made with, once its data is there
_SCRIPTS = "scripts are no longer supported"


def download(
    requests: Mapping[str, Request[HarnessOptions]],
    folder: StrPath,
    progress: Progress,
    *,
    datasets: Mapping[str, tuple[DatasetReference, str]] | None = None,
) -> list[str]:
    """Fetches the data of evaluations into a folder; returns what could not be fetched, and why.

    Args:
      requests: by the evaluation's name.
      datasets: further ones, by their tasks' names, each with its license.

    Raises:
      UserError: a package is missing, there is no such task, or the folder cannot be written.
    """
    require(*PACKAGES, reader="`codepretrain evaluate --download`")
    storage.make_folder(folder)
    wanted: dict[str, Callable[[], str | None]] = {}
    for request in requests.values():
        options = request.options
        path = f"{request.path}.options"
        manager = manager_of(names(options.tasks), options.include_path, path=path)
        for _, task in members(manager, options):
            wanted.setdefault(task, functools.partial(_fetch_task, task, options, folder))
    for task, dataset in (datasets or {}).items():
        wanted.setdefault(task, functools.partial(_fetch_dataset, *dataset, folder))
    problems = []
    for number, (task, fetch) in enumerate(wanted.items()):
        progress(number, len(wanted), "tasks")
        problem = fetch()
        if problem is not None:
            problems.append(f"{task}: {problem}")
    progress(len(wanted), len(wanted), "tasks")
    return problems


def _fetch_dataset(reference: DatasetReference, license_text: str, folder: StrPath) -> str | None:
    """Fetches a dataset; returns what went wrong, None if nothing did."""
    try:
        with quiet():
            _fetch(load_dataset(), reference, folder, license_text)
    except Exception as error:  # of the hub, of the network, or of the dataset
        return str(error) if isinstance(error, UserError) else described(error)
    return None


def _fetch_task(task: str, options: HarnessOptions, folder: StrPath) -> str | None:
    """Fetches the datasets that a task loads; returns what went wrong, None if nothing did."""
    manager = manager_of([task], options.include_path, path="tasks")
    real, license_text = load_dataset(), _license(task)

    def answer(reference: DatasetReference) -> Any:
        return _fetched(real, reference, folder, license_text)

    try:
        with answered(answer, include_path=options.include_path), quiet():
            manager.load([task])
    except Exception as error:  # of the hub, of the network, of the dataset, or of the task's files
        return str(error) if isinstance(error, UserError) else described(error)
    return None


def _license(task: str) -> str | None:
    return TASKS[task].license if task in TASKS else None


def _fetched(
    real: LoadDataset, reference: DatasetReference, folder: StrPath, license_text: str | None
) -> Any:
    """Fetches a dataset, unless it is there, and returns the first rows of its splits."""
    from codepretrain.evals.harness.lazy_splits import LazySplits

    _fetch(real, reference, folder, license_text)
    data = DataFolder(folder)
    splits = list(data.splits(reference))
    return LazySplits(
        splits, lambda split: data.read(reference, split, limit=_NUM_ROWS), name=str(reference)
    )


def _fetch(
    real: LoadDataset, reference: DatasetReference, folder: StrPath, license_text: str | None
) -> None:
    """Fetches a dataset and enters it in the manifest, unless its files are there already."""
    with contextlib.suppress(UserError):
        DataFolder(folder).splits(reference)
        return
    about = _about(reference)
    revision = reference.options.get("revision") or about["revision"]
    try:
        dataset = _load(real, reference, revision)
    except RuntimeError as error:
        if _SCRIPTS not in str(error):
            raise
        revision = CONVERTED
        dataset = _load(real, reference, revision)
    place = epath.Path(folder) / reference.folder
    if reference.key in read_manifest(folder):
        storage.remove_tree(place)  # fetched before, and damaged since
    with whole_directory(place) as files:
        splits = {split: _write(files, split, rows) for split, rows in dataset.items()}
    for file in splits.values():
        file["file"] = f"{reference.folder}/{file['file']}"
    entry = {
        "path": reference.path,
        "name": reference.name,
        "options": dict(reference.options),
        "revision": revision,
        "license": about["license"] or license_text,
        "splits": splits,
    }
    write_manifest(folder, {**read_manifest(folder), reference.key: entry})


def _write(folder: StrPath, split: str, rows: Any) -> dict[str, Any]:
    """Writes a split as a Parquet file, and returns its entry for the manifest."""
    buffer = io.BytesIO()
    rows.to_parquet(buffer)
    content = buffer.getvalue()
    name = f"{split}.parquet"
    write_bytes(epath.Path(folder) / name, content)
    return {
        "file": name,
        "rows": len(rows),
        "bytes": len(content),
        "sha256": sha256_bytes(content),
    }


def _load(real: LoadDataset, reference: DatasetReference, revision: str | None) -> "DatasetDict":
    options = {**reference.options, "revision": revision}
    dataset = real(reference.path, reference.name, **options)
    if not hasattr(dataset, "items"):
        raise UserError(f"{reference} has no splits: expected a dictionary of them")
    return dataset


def _about(reference: DatasetReference) -> dict[str, str | None]:
    """Returns the revision and the license of a dataset, as far as the Hub tells them."""
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        info = hub.dataset_info(reference.path, revision=reference.options.get("revision"))
    except Exception:  # no network, no such dataset: fetching it says which
        return {"revision": None, "license": None}
    card = info.card_data or {}
    found = card.get("license")
    license_text = ", ".join(found) if isinstance(found, list) else found
    return {"revision": info.sha, "license": license_text}


def summary(folder: StrPath) -> str:
    """Returns one line on what a folder holds."""
    splits = [
        split for entry in read_manifest(folder).values() for split in entry["splits"].values()
    ]
    size = sum(split["bytes"] for split in splits)
    count = len({split["file"].split("/")[0] for split in splits})
    return f"{shown(folder)}: {count} datasets, {len(splits)} splits, {size / 1e6:,.1f} MB"
