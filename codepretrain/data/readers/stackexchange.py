"""Questions with their answers from the `Posts.xml` of StackExchange's dumps.

The format is that of `codepretrain.data.rendering.render_thread`, which is also that of the threads
in SlimPajama (reader `slimpajama`, `keep_sets="RedPajamaStackExchange"`).

A dump has one element a line, `<row Id="7" PostTypeId="1" … />`, and answers are anywhere after
their questions. Each line is parsed alone: a damaged line costs one post, and a file's own entities
are never defined, so none can be expanded. Posts are sorted on a local disk.
"""

import json
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.parsers import expat

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import thread_group
from codepretrain.data.readers.html_text import html_text
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.rendering import render_thread
from codepretrain.files.sorted_records import Key, SortedRecords, sorted_records

MAX_BODY_CHARS = 2**20
MAX_ROW_BYTES = 2**23  # more than a body of this length has in XML

_TOO_LONG = "post longer than 1 MiB"
_QUESTION_RANK = -(2**62)  # before every answer, which are by falling score
_AROUND_ROWS = re.compile(rb"(<\?xml[^>]*>)?\s*(</?posts\s*/?>)?")


@dataclass(frozen=True, kw_only=True)
class StackExchange(Reader):
    """The dumps that the glob `path` matches (`*/Posts.xml`, also `.gz` and `.zst`).

    A thread is the question, then its answers from the highest score down. `site` is the site's
    host, by default the name of the file's folder without `-Posts`; the group is the thread.
    Sorting needs about as much space as the dump below `scratch_path`, by default the system's
    folder for temporary files.
    """

    path: str
    site: str = ""
    requires_answers: bool = True
    scratch_path: str = ""

    def shards(self) -> Sequence[RawFile]:
        return raw_files(self.path, reader="stackexchange")

    def read(self, shard: RawFile, source: str) -> Iterator[Document | Skipped]:
        parent = Path(self.scratch_path or tempfile.gettempdir()).expanduser()
        with sorted_records(parent, "stackexchange") as posts:
            yield from _sort(shard, posts)
            for question, thread in groupby(posts, key=lambda post: post[0][0]):
                yield from self._thread(shard, question, thread, source)

    def _thread(
        self, file: RawFile, question: int, posts: Iterable[tuple[Key, bytes]], source: str
    ) -> Iterator[Document | Skipped]:
        site = self.site or file.path.split("/")[-2].removesuffix("-Posts")
        head: _Post | None = None
        answers: list[str] = []
        for key, content in posts:
            post = _Post(*json.loads(zlib.decompress(content)))
            if key[1] == _QUESTION_RANK:
                head = post
            elif head is None:
                yield Skipped(f"{file.path}:{post.line}", "answer without its question")
            else:
                answers.append(post.body)
        if head is None:
            return
        if self.requires_answers and not answers:
            yield Skipped(f"{file.path}:{head.line}", "question without answers")
            return
        yield Document(
            id=f"{file.name}:{question}",
            text=render_thread(head.title, head.body, answers),
            source=source,
            origin=f"{file.name}:{head.line}",
            group=thread_group(site, question),
            language="en",
            license=head.license,
            metadata={"url": f"https://{site}/questions/{question}", "score": str(head.score)},
        )


@dataclass(frozen=True)
class _Post:
    line: int
    title: str
    body: str
    license: str | None
    score: int


def _sort(file: RawFile, posts: SortedRecords) -> Iterator[Skipped]:
    """Adds the posts of a dump to the store, and yields the lines that are not posts."""
    for number, line in read_lines(file.path):
        if isinstance(line, Skipped):
            yield line
            continue
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if len(text) < 1000 and _AROUND_ROWS.fullmatch(text):
            continue
        reason = _add(text, number, posts)
        if reason is not None:
            yield Skipped(f"{file.path}:{number}", reason)


def _add(line: bytes, number: int, posts: SortedRecords) -> str | None:
    """Adds the post of one line to the store. Returns why it is skipped, or None."""
    if len(line) > MAX_ROW_BYTES:
        return _TOO_LONG
    row = _attributes(line)
    if row is None:
        return "not a row of XML"
    kind, body = row.get("PostTypeId"), row.get("Body", "")
    if kind not in ("1", "2"):
        return "neither question nor answer"
    if len(body) > MAX_BODY_CHARS:
        return _TOO_LONG
    try:
        post, score = int(row["Id"]), int(row.get("Score", "0"))
        if kind == "1":
            key = (post, _QUESTION_RANK, post)
        else:
            key = (int(row["ParentId"]), -score, post)
        text = [number, row.get("Title", ""), html_text(body), row.get("ContentLicense"), score]
        is_new = posts.add(key, zlib.compress(json.dumps(text).encode(), level=1))
    except KeyError:
        return "post without its id or its question's"
    except ValueError:
        return "post with an id or a score that is no number"
    return None if is_new else "post with an id seen before"


def _attributes(line: bytes) -> dict[str, str] | None:
    """Returns the attributes of the element `row` in a line, None if the line is anything else."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda name, attributes: found.append((name, attributes))
    if not line.startswith(b"<row"):  # no document type, so no entities, can come before it
        return None
    try:
        parser.Parse(line, True)
    except expat.ExpatError:
        return None
    return found[0][1] if len(found) == 1 and found[0][0] == "row" else None
