"""The Stack, Stack-dedup and StarCoder's data: source files with repository and license.

A record is one file: `content`, `lang`, `max_stars_repo_name`, `max_stars_repo_path` and
`max_stars_repo_licenses`, or the shorter names that derived corpora use for the same fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import repository_group
from codepretrain.data.readers.languages import NOT_CHOSEN, chosen_languages, language_of
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.readers.records import Record, RecordReader

# Names of one field, the first found is used; the records of notebooks have them too.
REPOSITORY = ("max_stars_repo_name", "repo_name", "repo")
PATH = ("max_stars_repo_path", "path")
LICENSE = ("max_stars_repo_licenses", "licenses", "license")
STARS = ("max_stars_count", "star_events_count")
_COMMIT = ("max_stars_repo_head_hexsha", "commit_id")
_LANGUAGE = ("lang", "language")


@dataclass(frozen=True, kw_only=True)
class TheStack(RecordReader):
    """Files matching the glob `path` (`data/*/*.parquet`); the group is the repository.

    `languages` is `web_code` or `markup` (the study's lists), or names separated by commas, as in
    the folders of The Stack (`python, c-sharp`); by default all. Where records state no language,
    it is the name of the file's folder.
    """

    languages: str = ""
    name: ClassVar[str] = "the_stack"
    columns: ClassVar[tuple[str, ...]] = (
        *("content", *REPOSITORY),
        *PATH,
        *LICENSE,
        *_LANGUAGE,
        *_COMMIT,
        *STARS,
    )

    def list_files(self) -> Sequence[RawFile]:
        chosen_languages(self.languages, reader=self.name)
        return super().list_files()

    def document(self, record: Record, source: str) -> Document | Skipped:
        text = record.text("content")
        if isinstance(text, Skipped):
            return text
        language = language_of(record.first(_LANGUAGE) or record.folder)
        chosen = chosen_languages(self.languages, reader=self.name)
        if chosen is not None and language not in chosen:
            return Skipped(record.place, NOT_CHOSEN)
        repository = record.first(REPOSITORY)
        return Document(
            id=record.name,
            text=text,
            source=source,
            origin=record.name,
            group=repository_group(repository) if repository else None,
            language=language or None,
            license=record.license(LICENSE),
            metadata=record.metadata(repository=REPOSITORY, path=PATH, commit=_COMMIT, stars=STARS),
        )
