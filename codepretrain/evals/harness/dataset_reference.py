"""A dataset as a task names it, and its folder in the data that `evaluate --download` writes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codepretrain.files.hashing import sha256_json

# Arguments of `datasets.load_dataset` that decide where data is kept, not which data it is.
_PLACES = ("cache_dir", "download_mode", "keep_in_memory", "num_proc", "trust_remote_code", "token")
# Formats of local files that `load_dataset` reads.
LOCAL_FORMATS = ("json", "csv", "parquet", "text", "arrow")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class DatasetReference:
    """The arguments of `datasets.load_dataset`: the dataset, its subset, and further options."""

    path: str
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str, name: str | None, options: Mapping[str, Any]) -> "DatasetReference":
        """Returns the reference without options that change no data."""
        kept = {k: v for k, v in options.items() if k not in _PLACES and v is not None}
        return cls(str(path), name, kept)

    @property
    def key(self) -> str:
        """Its entry in the manifest."""
        return json.dumps([self.path, self.name, dict(self.options)], sort_keys=True, default=str)

    @property
    def folder(self) -> str:
        """Its folder below the data: `aps--super_glue--boolq`."""
        parts = [self.path, *([self.name] if self.name else [])]
        if self.options:
            parts.append(sha256_json({"options": self.key})[:8])
        return "--".join(_UNSAFE.sub("--", part).strip("-.") for part in parts)

    def __str__(self) -> str:
        return f"{self.path} ({self.name})" if self.name else self.path
