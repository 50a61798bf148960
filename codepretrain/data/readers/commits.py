"""Commits in CommitPack's form: one file before and after, with the message.

A record has `old_contents`, `new_contents`, `message`, `lang`, `license`, `repos`, `commit` and
`new_file`. The document's format is that of `codepretrain.data.rendering.render_commit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import repository_group
from codepretrain.data.readers.languages import NOT_CHOSEN, chosen_languages, language_of
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.readers.records import Record, RecordReader
from codepretrain.data.rendering import HAS_MARKER, has_marker, render_commit

NO_MESSAGE = "commit without a message"
NO_CHANGE = "commit without a change"


@dataclass(frozen=True, kw_only=True)
class Commits(RecordReader):
    """Files matching the glob `path` (JSON lines or Parquet); `languages` as in `the_stack`.

    Repositories that share a commit are copies of each other: the first in the list is the group,
    the others follow its split.
    """

    languages: str = ""
    name: ClassVar[str] = "commits"
    columns: ClassVar[tuple[str, ...]] = (
        *("commit", "new_file", "old_contents", "new_contents", "message", "lang"),
        *("license", "repos"),
    )

    def list_files(self) -> Sequence[RawFile]:
        chosen_languages(self.languages, reader=self.name)
        return super().list_files()

    def document(self, record: Record, source: str) -> Document | Skipped:
        language = language_of(record.optional("lang") or "") or None
        chosen = chosen_languages(self.languages, reader=self.name)
        if chosen is not None and language not in chosen:
            return Skipped(record.place, NOT_CHOSEN)
        parts = [record.text(name) for name in ("old_contents", "message", "new_contents")]
        for part in parts:
            if isinstance(part, Skipped):
                return part
        text = rendered_commit(*map(str, parts), place=record.place)
        if isinstance(text, Skipped):
            return text
        names = [name.strip() for name in (record.optional("repos") or "").split(",")]
        groups = list(dict.fromkeys(repository_group(name) for name in names if name))
        repository = {"repository": next(filter(None, names))} if groups else {}
        metadata = record.metadata(commit=("commit",), path=("new_file",))
        return Document(
            id=record.name,
            text=text,
            source=source,
            origin=record.name,
            group=groups[0] if groups else None,
            language=language,
            license=record.license(("license",)),
            metadata={"format": "commit", **repository, **metadata},
            other_groups=tuple(groups[1:]),
        )


def rendered_commit(before: str, message: str, after: str, *, place: str) -> str | Skipped:
    """Returns the text of one file's change, or why it is skipped."""
    message = message.strip()
    if not message:
        return Skipped(place, NO_MESSAGE)
    if before == after:
        return Skipped(place, NO_CHANGE)
    if has_marker((before, message, after)):
        return Skipped(place, HAS_MARKER)
    return render_commit(before=before, message=message, after=after)
