"""Makes readers by name, and reads all that they give."""

from codepretrain.config.schema import SourceConfig
from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers import make_reader


def reader(name: str, **options: str | int | float | bool):
    return make_reader("s", SourceConfig(reader=name, kind="text", options=options))


def read(made, num_shards: int | None = None) -> tuple[list[Document], list[Skipped]]:
    items = [item for shard in made.shards()[:num_shards] for item in made.read(shard, "s")]
    documents = [item for item in items if isinstance(item, Document)]
    return documents, [item for item in items if isinstance(item, Skipped)]
