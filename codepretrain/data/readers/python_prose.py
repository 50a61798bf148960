"""Prose that every machine with Python has: language topics, package descriptions, docstrings."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message

from codepretrain.data.document import Document, Skipped
from codepretrain.data.python_syntax import parse_module
from codepretrain.data.readers.docstrings import docstrings
from codepretrain.data.readers.python_files import (
    PYTHON_LICENSE,
    PythonFile,
    distributions,
    license,
    python_files,
)
from codepretrain.data.readers.reader import RawFile, Reader, chunks, read_utf8


@dataclass(frozen=True, kw_only=True)
class PythonProse(Reader):
    """One document per language topic, per package description, per module with docstrings.

    `excluded` as in the reader `python_code`.
    """

    includes_topics: bool = True
    includes_descriptions: bool = True
    includes_docstrings: bool = True
    excluded: str = ""
    min_document_bytes: int = 200
    max_document_bytes: int | None = 200_000

    def shards(self) -> Sequence[str | Sequence[PythonFile]]:
        shards: list[str | Sequence[PythonFile]] = []
        if self.includes_topics:
            shards.append("topics")
        if self.includes_descriptions:
            shards.append("descriptions")
        if self.includes_docstrings:
            shards.extend(chunks(python_files(self.excluded)))
        return shards

    def files(self, shard: str | Sequence[PythonFile]) -> Sequence[RawFile]:
        if shard == "topics":
            return [RawFile("", "topics", version=platform.python_version())]
        if shard == "descriptions":
            return [
                RawFile("", f"descriptions/{found.metadata['Name']}", version=found.version)
                for found in distributions(self.excluded)
            ]
        assert not isinstance(shard, str)
        return [RawFile(name=file.name, path=file.path) for file in shard]

    def read(self, shard: str | Sequence[PythonFile], source: str) -> Iterator[Document | Skipped]:
        if shard == "topics":
            yield from _topics(source)
        elif shard == "descriptions":
            yield from _descriptions(source, self.excluded)
        else:
            assert not isinstance(shard, str)
            yield from _docstrings(shard, source)


def _topics(source: str) -> Iterator[Document]:
    from pydoc_data.topics import topics  # half a megabyte that only this reader needs

    for name in sorted(topics):
        yield Document(
            id=f"topics/{name}",
            text=topics[name],
            source=source,
            origin=f"python=={platform.python_version()}:pydoc topic {name}",
            language="en",
            license=PYTHON_LICENSE,
        )


def _descriptions(source: str, excluded: str) -> Iterator[Document | Skipped]:
    for distribution in distributions(excluded):
        metadata = distribution.metadata
        assert isinstance(metadata, Message)  # which the type does not say
        name = metadata["Name"]
        origin = f"{name}=={distribution.version}:METADATA"
        headers = metadata.get_all("Description")
        text = str(headers[0] if headers else metadata.get_payload() or "")
        if not text or text.strip() == "UNKNOWN":
            yield Skipped(origin, "no description")
            continue
        yield Document(
            id=f"descriptions/{name}",
            text=text,
            source=source,
            origin=origin,
            language="en",
            license=license(distribution),
        )


def _docstrings(shard: Sequence[PythonFile], source: str) -> Iterator[Document | Skipped]:
    for file in shard:
        code = read_utf8(file.path, file.origin)
        if isinstance(code, Skipped):
            yield code
            continue
        if (tree := parse_module(code)) is None:
            yield Skipped(file.origin, "not Python of this version")
        elif not (texts := docstrings(tree)):
            yield Skipped(file.origin, "no docstrings")
        else:
            yield Document(
                id=f"docstrings/{file.name}",
                text="\n\n".join(texts) + "\n",
                source=source,
                origin=f"{file.origin} (docstrings)",
                group=file.name,
                language="en",
                license=file.license,
            )
