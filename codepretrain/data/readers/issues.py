"""Issues as threads: `codepretrain.data.rendering.render_issue`.

Two forms. The Stack's: records with `repo`, `issue_id`, `issue_number` and `events`, each event
with `action`, `author`, `title` and `comment` or `description`. An export of GitHub's interface or
of its command line (`gh issue list --json number,title,body,author,comments,state,url`): objects
with `title`, `body`, `user` or `author`, `state`, and `comments` as a list of the same kind.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import repository_group
from codepretrain.data.readers.json_array import read_values
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.readers.records import Record, RecordReader
from codepretrain.data.rendering import HAS_MARKER, Comment, has_marker, render_issue

_PULL = "pull request"
_NO_TEXT = "issue without text"


@dataclass(frozen=True, kw_only=True)
class Issues(RecordReader):
    """Files matching the glob `path`: Parquet, JSON lines, or a `.json` array.

    Authors are replaced by numbers, in the texts too; comments of programs (`…[bot]`) are
    left out. The group is the repository: that of the record, or of its address, or
    the option `repository`. Pull requests are left out unless `includes_pull_requests`.
    """

    repository: str | None = None
    includes_pull_requests: bool = False
    license: str | None = None
    name: ClassVar[str] = "issues"
    columns: ClassVar[tuple[str, ...]] = (
        *("repo", "issue_id", "issue_number", "pull_request", "events", "license"),
        *("number", "title", "body", "author", "user", "state", "comments", "url", "html_url"),
        *("repository_url", "isPullRequest"),
    )

    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        if not isinstance(shard, RawFile) or not _is_array(shard.name):
            yield from super().read(shard, source)
            return
        for number, value in read_values(shard.path):
            place = f"{shard.path}:{number}"
            if isinstance(value, Skipped):
                yield value
            else:
                yield self.document(Record(value, f"{shard.name}:{number}", place), source)

    def document(self, record: Record, source: str) -> Document | Skipped:
        if not self.includes_pull_requests and _is_pull_request(record.value):
            return Skipped(record.place, _PULL)
        try:
            is_stack = "events" in record.value
            title, comments, is_closed = (_of_stack if is_stack else _of_export)(record.value)
        except (TypeError, AttributeError, KeyError, ValueError):
            return Skipped(record.place, "not an issue")
        comments = [comment for comment in comments if not comment.author.endswith("[bot]")]
        if not any(comment.text.strip() for comment in comments):
            return Skipped(record.place, _NO_TEXT)
        if has_marker([title, *(comment.text for comment in comments)]):
            return Skipped(record.place, HAS_MARKER)
        repository = self._repository(record)
        metadata = record.metadata(issue=("issue_number", "number", "issue_id"))
        if repository:
            metadata["repository"] = repository
        return Document(
            id=record.name,
            text=render_issue(title, comments, is_closed=is_closed),
            source=source,
            origin=record.name,
            group=repository_group(repository) if repository else None,
            license=record.license(("license",)) or self.license,
            metadata={"format": "issue", **metadata},
        )

    def _repository(self, record: Record) -> str | None:
        """Returns the repository's name; of the address of an issue, what precedes `/issues/7`."""
        named = record.first(("repo", "repository_url"))
        address = record.first(("html_url", "url")) or ""
        for word in ("/issues/", "/pull/"):
            address = address.rpartition(word)[0] or address
        return named or address or self.repository


def _is_pull_request(value: dict[str, Any]) -> bool:
    found = value.get("pull_request") or value.get("isPullRequest")
    if isinstance(found, dict):  # a Parquet file has the fields of issues too, without values
        return any(item is not None for item in found.values())
    return bool(found)


def _is_array(name: str) -> bool:
    return name.removesuffix(".gz").removesuffix(".zst").endswith(".json")


def _of_stack(value: dict[str, Any]) -> tuple[str, Sequence[Comment], bool]:
    """Returns title, comments and whether the issue was closed last. Raises if it is no issue."""
    title, is_closed = "", False
    comments = []
    for event in value["events"]:
        title = title or _text(event.get("title"))
        action = event.get("action")
        if action in ("closed", "reopened"):
            is_closed = action == "closed"
        text = event.get("comment") or event.get("description") or event.get("text")
        if text:
            author = event.get("author") or event.get("masked_author")
            comments.append(Comment(_text(author), _text(text)))
    return title, comments, is_closed


def _of_export(value: dict[str, Any]) -> tuple[str, Sequence[Comment], bool]:
    """Returns title, comments and whether the issue is closed. Raises if it is no issue."""
    if not isinstance(value["title"], str):
        raise TypeError
    parts = [value]
    if not isinstance(value.get("comments"), int):  # the interface itself states their number only
        parts += value.get("comments") or []
    comments = [Comment(_author(part), _text(part.get("body"))) for part in parts]
    return value["title"], comments, _text(value.get("state")).lower() == "closed"


def _author(part: dict[str, Any]) -> str:
    """Returns the login; that of a program ends in `[bot]`, as it does in GitHub's interface."""
    found = part.get("author") or part.get("user")
    if not isinstance(found, dict):
        return _text(found)
    login = _text(found.get("login"))
    is_program = found.get("is_bot") or found.get("type") == "Bot" or login.startswith("app/")
    return f"{login}[bot]" if is_program and not login.endswith("[bot]") else login


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError
    return (value or "").replace("\r\n", "\n")
