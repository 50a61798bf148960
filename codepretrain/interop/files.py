"""Safetensors folders: one file, or shards with an index, written and read a piece at a time."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from codepretrain.errors import UserError
from codepretrain.files import jsonl
from codepretrain.interop.settings import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_READABLE = ("F32", "BF16", "F16")  # every value of these is a float32


def plan_shards(sizes: Mapping[str, int], *, max_bytes: int) -> dict[str, list[str]]:
    """Returns which tensors each file holds: in order, a new file where one would grow too large.

    sizes: bytes by tensor. A tensor larger than `max_bytes` has a file of its own.
    """
    shards: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if shards[-1] and used + size > max_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    if len(shards) == 1:
        return {SINGLE: shards[0]}
    count = len(shards)
    return {f"model-{i:05d}-of-{count:05d}.safetensors": s for i, s in enumerate(shards, 1)}


def write_tensors(
    folder: Path,
    tensors: Iterable[tuple[str, np.ndarray]],
    *,
    shards: Mapping[str, Sequence[str]],
    total_bytes: int,
) -> None:
    """Writes tensors as they come, in the order of `shards`; holds one shard in memory."""
    stream = iter(tensors)
    for file, names in shards.items():
        held = {}
        for expected in names:
            name, value = next(stream)
            assert name == expected, f"{name} came where {expected} was planned"
            held[name] = np.ascontiguousarray(value)
        path = folder / file
        path.touch()
        mode = path.stat().st_mode  # as the user's other files; save_file alone makes them private
        try:
            save_file(held, path, metadata={"format": "pt"})
        except SafetensorError as error:  # the system's words are in its text
            raise RuntimeError(f"{path}: {error}") from error
        path.chmod(mode)
    assert next(stream, None) is None, "more tensors came than were planned"
    if len(shards) > 1:
        weight_map = {name: file for file, names in shards.items() for name in names}
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        jsonl.write_atomically(folder / INDEX, jsonl.encode(index) + "\n")


class TensorFiles:
    """The tensors of a folder by name; reads one at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError: no safetensors there, or files that the index names are missing."""
        self.folder = folder
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}")
        if (folder / INDEX).exists():
            self._file_of = self._indexed()
        elif (folder / SINGLE).exists():
            with _opened(folder / SINGLE) as file:
                self._file_of = dict.fromkeys(file.keys(), SINGLE)
        else:
            raise UserError(f"{folder} holds neither {INDEX} nor {SINGLE}")

    @property
    def names(self) -> set[str]:
        return set(self._file_of)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns every tensor's shape; reads the heads of the files alone.

        Raises:
          UserError: a damaged file, or a tensor whose values are no float32 at best.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for name in sorted(set(self._file_of.values())):
            with _opened(self.folder / name) as file:
                held = set(file.keys())
                for tensor in [t for t, f in self._file_of.items() if f == name]:
                    if tensor not in held:
                        raise UserError(f"{self.folder / name} lacks {tensor}, named in {INDEX}")
                    head = file.get_slice(tensor)
                    if head.get_dtype() not in _READABLE:
                        raise UserError(
                            f"{self.folder / name}: {tensor} is {head.get_dtype()}; expected one "
                            f"of {', '.join(_READABLE)}"
                        )
                    shapes[tensor] = tuple(head.get_shape())
        return shapes

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in float32, exactly."""
        with _opened(self.folder / self._file_of[name]) as file:
            return np.asarray(file.get_tensor(name), np.float32)

    def _indexed(self) -> dict[str, str]:
        file_of = read_json(self.folder / INDEX).get("weight_map")
        if not isinstance(file_of, dict):
            raise UserError(f"damaged {self.folder / INDEX}: it has no weight_map")
        missing = sorted({f for f in file_of.values() if not (self.folder / f).is_file()})
        if missing:
            raise UserError(f"{self.folder} lacks {', '.join(missing)}, named in {INDEX}")
        return file_of


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="np")
    except SafetensorError as error:
        raise UserError(f"damaged {path}: {error}") from error
