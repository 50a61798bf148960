"""Answers the calls of `datasets.load_dataset` that tasks make.

Tasks call it in YAML files and in Python; the harness has no other place at which to give them
data. So the function is replaced while tasks are made.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codepretrain.errors import UserError, described
from codepretrain.evals.harness.dataset_reference import LOCAL_FORMATS, DatasetReference
from codepretrain.evals.harness.libraries import load

LoadDataset = Callable[..., Any]
Splits = Any  # a mapping from split to dataset


def load_dataset() -> LoadDataset:
    """Returns the function of the library, or what stands for it now."""
    return load("datasets").load_dataset


@contextlib.contextmanager
def answered(answer: Callable[[DatasetReference], Splits], *, include_path: str) -> Iterator[None]:
    """Within the block, `datasets.load_dataset` returns the splits that `answer` returns.

    Local files that a task names are still read by the library.

    Args:
      include_path: the folder of the user's tasks; relative names of files are below it if they
        exist there.
    """
    module: Any = load("datasets")
    real = module.load_dataset

    def replacement(path: str, name: str | None = None, *args: Any, **options: Any) -> Any:
        if args:
            raise UserError(f"{path}: positional options of load_dataset are not supported")
        split = options.pop("split", None)
        if path in LOCAL_FORMATS:
            splits = _local_files(real, path, name, options, include_path)
        else:
            splits = answer(DatasetReference.of(path, name, options))
        return splits if split is None else splits[split]

    module.load_dataset = replacement
    try:
        yield
    finally:
        module.load_dataset = real


def _local_files(
    real: LoadDataset, path: str, name: str | None, options: dict[str, Any], include_path: str
) -> Splits:
    """Returns the splits of local files, held in memory."""
    from codepretrain.evals.harness.lazy_splits import LazySplits

    options = {**options, "data_files": _resolved(options.get("data_files"), Path(include_path))}
    files = f"{options['data_files']!r:.200}"
    with tempfile.TemporaryDirectory() as cache:
        try:
            found = real(path, name, **{**options, "cache_dir": cache, "keep_in_memory": True})
        except Exception as error:
            raise UserError(f"cannot read {files}: {described(error)}") from error
    return LazySplits(list(found), found.__getitem__, name=files)


def _resolved(files: Any, folder: Path) -> Any:
    if isinstance(files, dict):
        return {split: _resolved(entry, folder) for split, entry in files.items()}
    if isinstance(files, list | tuple):
        return [_resolved(entry, folder) for entry in files]
    if isinstance(files, str) and (folder / files).exists():
        return str((folder / files).resolve())
    return files
