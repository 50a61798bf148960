"""Folders of safetensors: one file, or shards with an index; one shard or tensor in memory."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from etils import epath
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes, write_json
from codepretrain.files.explain import explained, shown
from codepretrain.files.local_copies import LocalCopies
from codepretrain.files.storage import StrPath
from codepretrain.interop.json_fields import JsonFields

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_READABLE = ("F32", "BF16", "F16")  # float32 holds every value of these
_DOWNLOAD = "download or export the model again"


def plan_shards(sizes: Mapping[str, int], *, max_bytes: int) -> dict[str, list[str]]:
    """Returns which tensors each file holds: in order, as many as fit into `max_bytes`.

    Args:
      sizes: bytes by tensor. A tensor larger than `max_bytes` gets a file of its own.
      max_bytes: of the tensors of one file.
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
    """Writes tensors into a local folder, in the order of `shards`; one shard is in memory."""
    stream = iter(tensors)
    for file, names in shards.items():
        held = {}
        for expected in names:
            name, value = next(stream)
            assert name == expected, f"expected tensor {expected}, got {name}"
            held[name] = np.ascontiguousarray(value)
        path = folder / file
        with explained("write", path):
            write_bytes(path, b"")
            mode = path.stat().st_mode  # of the user's other files; save_file makes private ones
            try:
                save_file(held, path, metadata={"format": "pt"})
            except SafetensorError as error:  # its text quotes the system
                raise RuntimeError(str(error)) from error
            path.chmod(mode)
    assert next(stream, None) is None, "got more tensors than planned"
    if len(shards) > 1:
        weight_map = {name: file for file, names in shards.items() for name in names}
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        write_json(folder / INDEX, index, indent=None)


class TensorFiles:
    """The tensors of a folder by name, read one at a time; a context manager.

    Files of an object store are copied to the local disk when they are first needed.
    """

    def __init__(self, folder: StrPath) -> None:
        """Raises UserError: the folder has no safetensors, or lacks some that its index names."""
        self.folder = epath.Path(folder)
        self._copies = LocalCopies()
        if storage.exists(self.folder / INDEX):
            self._file_of = self._indexed()
        elif storage.exists(self.folder / SINGLE):
            with self._opened(SINGLE) as file:
                self._file_of = dict.fromkeys(file.keys(), SINGLE)
        else:
            raise UserError(f"{shown(self.folder)} holds neither {INDEX} nor {SINGLE}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._copies.__exit__(*error)

    @property
    def names(self) -> set[str]:
        return set(self._file_of)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of every tensor; reads the headers only.

        Raises:
          UserError: a file is damaged, or a tensor has a dtype that float32 cannot represent.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for name in sorted(set(self._file_of.values())):
            with self._opened(name) as file:
                held = set(file.keys())
                for tensor in [t for t, f in self._file_of.items() if f == name]:
                    if tensor not in held:
                        raise UserError(
                            f"{shown(self.folder / name)} lacks {quoted(tensor)}, which {INDEX} "
                            f"lists there; {_DOWNLOAD}"
                        )
                    header = file.get_slice(tensor)
                    if header.get_dtype() not in _READABLE:
                        raise UserError(
                            f"{shown(self.folder / name)}: {tensor} is {header.get_dtype()}; "
                            f"expected one of {', '.join(_READABLE)}"
                        )
                    shapes[tensor] = tuple(header.get_shape())
        return shapes

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in float32, exactly."""
        with self._opened(self._file_of[name]) as file:
            return np.asarray(file.get_tensor(name), np.float32)

    def _indexed(self) -> dict[str, str]:
        """Returns the file of each tensor, as the index lists them."""
        weights = JsonFields.read(self.folder / INDEX).object("weight_map")
        file_of = {}
        for tensor in weights.values:
            file = weights.text(tensor)
            if "/" in file or "\\" in file or file in ("", ".", ".."):
                weights.fail(tensor, "the name of a file in the same folder", file)
            file_of[tensor] = file
        there = set(storage.names(self.folder))
        missing = sorted(set(file_of.values()) - there)
        if missing:
            listed = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" * (len(missing) > 3))
            raise UserError(
                f"{shown(self.folder)} lacks {listed}, which {INDEX} lists; {_DOWNLOAD}"
            )
        return file_of

    def _opened(self, name: str) -> safe_open:
        path = self.folder / name
        try:
            with explained("read", path):
                return safe_open(self._copies.local(path), framework="np")
        except SafetensorError as error:
            raise UserError(f"damaged {shown(path)}: {error}; {_DOWNLOAD}") from error
