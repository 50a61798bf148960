"""The records of evaluations in a run, and who wrote them.

    <run>/evals.jsonl  <run>/items/               by the job that holds the run: train or evaluate
    <run>/watch/evals.jsonl  <run>/watch/items/   by `evaluate --watch`, which runs beside it

Two jobs never write one file, so the watching one needs no hold of the run. A step that both
evaluated has a record in each; readers take the one of the job that held the run. An evaluation
whose item scores were lost is made again: then the newest record is taken.
"""

from collections.abc import Mapping
from typing import Any

from etils import epath

from codepretrain.files import journal
from codepretrain.files.storage import StrPath
from codepretrain.metrics.item_files import lost_files, sizes_in

# What every record has. One with a "failure" as well has no metrics.
EVALUATION_FIELDS: journal.Fields = {
    "step": int,
    "evaluator": str,
    "digest": str,
    "identity": dict,
    "metrics": dict,
}
EVALUATIONS = "evals.jsonl"


def is_result(record: Mapping[str, Any]) -> bool:
    """Returns whether a record is a result, not a failure."""
    return "failure" not in record


def watch_folder(run_dir: StrPath) -> epath.Path:
    """Returns where a job that watches a run keeps its records and item scores."""
    return epath.Path(run_dir) / "watch"


def read_records(folder: StrPath) -> list[dict[str, Any]]:
    """Returns the records in a run's folder, or in its `watch_folder`; none if there is no file.

    Raises:
      UserError: a line is damaged, or lacks a field.
    """
    return journal.read(epath.Path(folder) / EVALUATIONS, fields=EVALUATION_FIELDS)


def read_results(run_dir: StrPath) -> list[tuple[epath.Path, dict[str, Any]]]:
    """Returns every result of a run, whoever recorded it, with the folder of its item scores.

    Those of the job that held the run come last, so that a reader who keeps the last has them.

    Raises:
      UserError: a line is damaged, or lacks a field.
    """
    return [
        (folder, record)
        for folder in (watch_folder(run_dir), epath.Path(run_dir))
        for record in read_records(folder)
        if is_result(record)
    ]


def results_at(
    run_dir: StrPath, step: int
) -> dict[tuple[str, str], tuple[epath.Path, dict[str, Any]]]:
    """Returns the result that readers take of each (evaluator, digest) at a step, with its folder.

    Raises:
      UserError: a line is damaged, or lacks a field.
    """
    return {
        (record["evaluator"], record["digest"]): (folder, record)
        for folder, record in read_results(run_dir)
        if record["step"] == step
    }


def lost_results(
    results: Mapping[tuple[str, str], tuple[epath.Path, Mapping[str, Any]]],
) -> dict[tuple[str, str], str]:
    """Returns which of these results lost a file of item scores, and which file, by its size.

    Lists the item files of each folder once and reads none.
    """
    sizes = {folder: sizes_in(folder) for folder in {folder for folder, _ in results.values()}}
    found = {
        key: lost_files(folder, record, sizes[folder]) for key, (folder, record) in results.items()
    }
    return {key: lost for key, lost in found.items() if lost}
