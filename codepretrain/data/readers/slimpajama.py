"""SlimPajama: JSON lines, compressed with zstd, with the set that a document comes from.

    {"text": "…", "meta": {"redpajama_set_name": "RedPajamaC4"}}

Threads of StackExchange are in the set RedPajamaStackExchange, already as text: `Q: …`, `A: …`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.names import listed
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.readers.records import Record, RecordReader
from codepretrain.errors import UserError

SETS = (
    "RedPajamaArXiv",
    "RedPajamaBook",
    "RedPajamaC4",
    "RedPajamaCommonCrawl",
    "RedPajamaGithub",
    "RedPajamaStackExchange",
    "RedPajamaWikipedia",
)


@dataclass(frozen=True, kw_only=True)
class SlimPajama(RecordReader):
    """Files matching the glob `path` (`train/*/*.jsonl.zst`); each file is a shard.

    `drop_sets` lists the sets to leave out, separated by commas; `keep_sets` those to read, by
    default all. What is left out is counted per set; the metadata of what is kept names it. The
    format does not say what a document was cut from, so it has no group.
    """

    drop_sets: str = ""
    keep_sets: str = ""
    name: ClassVar[str] = "slimpajama"
    columns: ClassVar[tuple[str, ...]] = ("text", "meta")

    def list_files(self) -> Sequence[RawFile]:
        if self._sets("drop_sets") and self._sets("keep_sets"):
            raise UserError("reader 'slimpajama': expected drop_sets or keep_sets, found both")
        return super().list_files()

    def document(self, record: Record, source: str) -> Document | Skipped:
        meta = record.value.get("meta")
        set_name = meta.get("redpajama_set_name") if isinstance(meta, dict) else None
        if not isinstance(set_name, str):
            return Skipped(record.place, "no field 'meta.redpajama_set_name'")
        if not self._keeps(set_name):
            shown = set_name if set_name in SETS else "of another name"
            return Skipped(record.place, f"set {shown} is left out")
        text = record.text("text")
        if isinstance(text, Skipped):
            return text
        return Document(
            id=record.name,
            text=text,
            source=source,
            origin=record.name,
            metadata={"set": set_name},
        )

    def _keeps(self, set_name: str) -> bool:
        kept = self._sets("keep_sets")
        return set_name in kept if kept else set_name not in self._sets("drop_sets")

    def _sets(self, option: str) -> frozenset[str]:
        return listed(getattr(self, option), reader=self.name, option=option, valid=SETS)
