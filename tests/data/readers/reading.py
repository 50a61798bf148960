"""Makes readers by name, and reads all that they give."""

import functools
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

from codepretrain.config.schema import SourceConfig
from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.reader import Reader


def reader(name: str, **options: str | int | float | bool | tuple[str, ...]):
    return make_reader("s", SourceConfig(reader=name, kind="text", options=options))


def read(made, num_shards: int | None = None) -> tuple[list[Document], list[Skipped]]:
    items = [item for shard in made.shards()[:num_shards] for item in made.read(shard, "s")]
    documents = [item for item in items if isinstance(item, Document)]
    return documents, [item for item in items if isinstance(item, Skipped)]


def read_shards(
    reader: Reader, shards: Iterable[Any], executor: Executor | None = None
) -> list[list[Document | Skipped]]:
    """Returns what is read from each shard, here or in the executor."""
    read_shard = functools.partial(_read_shard, reader)
    return list(map(read_shard, shards) if executor is None else executor.map(read_shard, shards))


def _read_shard(reader: Reader, shard: object) -> list[Document | Skipped]:
    return list(reader.read(shard, "s"))
