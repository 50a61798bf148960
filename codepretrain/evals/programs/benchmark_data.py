"""Where the records of HumanEval and MBPP come from.

`data` is the benchmark's file, a folder of its files, or one that `evaluate --download` has filled:

    <data>/manifest.json
           openai--openai_humaneval/test.parquet
           google-research-datasets--mbpp--full/{prompt,test,train,validation}.parquet

Files that the manifest lists are verified as they are read. Files may be placed in these folders by
hand instead, in any form that `records.py` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.errors import UserError
from codepretrain.evals.harness.data_folder import MANIFEST, DataFolder
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.programs.records import decode_records, read_records
from codepretrain.files.explain import shown
from codepretrain.files.storage import is_dir, is_file, parse


@dataclass(frozen=True)
class Benchmark:
    """A dataset on the hub; `license` as its authors state it."""

    reference: DatasetReference
    license: str


BENCHMARKS: Mapping[str, Benchmark] = {
    "human_eval": Benchmark(DatasetReference("openai/openai_humaneval"), "MIT"),
    "mbpp": Benchmark(DatasetReference("google-research-datasets/mbpp", "full"), "CC-BY-4.0"),
}


def read_benchmark(task: str, address: str, *, path: str) -> list[dict[str, Any]]:
    """Returns the records of a benchmark in order.

    Args:
      address: the option `data`. path: its place in the configuration, for messages.

    Raises:
      UserError: the data is missing or damaged, or the package that reads Parquet is missing.
    """
    reference = BENCHMARKS[task].reference
    remedy = (
        "fetch it with `codepretrain evaluate --download DIR` on a machine with network, and name "
        f"DIR by {path} or --data"
    )
    if not address:
        raise UserError(f"{path}: no data of {task} is named: {remedy}, or give a file of your own")
    folder = parse(address, name=path)
    place = folder / reference.folder
    if is_file(folder / MANIFEST):
        try:
            data = DataFolder(folder)
            if reference.key in data.manifest:
                return _fetched(data, reference, path)
        except UserError as error:
            raise UserError(f"{path}: {error}; {remedy}") from error
        if not is_dir(place):
            raise UserError(
                f"{path}: {shown(folder)} has no data of {task} ({reference}): {remedy}, or place "
                f"its files in {shown(place)}"
            )
    if not is_file(folder) and not is_dir(folder):
        raise UserError(
            f"{path}: there is no file or folder {shown(folder)}: {remedy}, or give a file of your "
            "own"
        )
    return read_records(str(place) if is_dir(place) else address, path=path)


def _fetched(data: DataFolder, reference: DatasetReference, path: str) -> list[dict[str, Any]]:
    records = []
    for split, file in sorted(data.splits(reference).items()):
        try:
            records += decode_records(data.content(reference, split), path)
        except ValueError as error:
            raise UserError(f"{shown(file)} is damaged: {error}") from error
    return records
