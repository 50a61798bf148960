"""The text formats of documents that are made of parts: notebooks, commits, issues, threads.

That of instructions is in `codepretrain/instructions.py`, because evaluations use it too.

Markers separate the parts of notebooks, commits and issues. They are StarCoder's special tokens, so
that a tokenizer may have an entry for each (`MARKERS`). A part that contains a marker cannot be
rendered: its document is skipped (`has_marker`). The metadata of a rendered document name its
`format`; a marker in any other document is its author's text.

Threads have no markers: an answer that itself contains a paragraph `A: …` looks like two. They have
the form of SlimPajama's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MARKERS = (
    *("<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>"),
    *("<commit_before>", "<commit_msg>", "<commit_after>"),
    *("<issue_start>", "<issue_comment>", "<issue_closed>"),
)
HAS_MARKER = "contains a rendering marker"

MARKER = re.compile("|".join(map(re.escape, MARKERS)))


def has_marker(parts: Iterable[str]) -> bool:
    """Returns whether a part contains one of the markers."""
    return any(MARKER.search(part) for part in parts)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook; only code has output."""

    is_code: bool
    source: str
    output: str = ""


def render_notebook(cells: Iterable[Cell]) -> str:
    """Returns a notebook: its cells in order, the output of a code cell after it.

    >>> render_notebook([Cell(False, "# Sums"), Cell(True, "1 + 1", "2"), Cell(True, "x = 3")])
    '<jupyter_start><jupyter_text># Sums<jupyter_code>1 + 1<jupyter_output>2<jupyter_code>x = 3'
    """
    parts = ["<jupyter_start>"]
    for cell in cells:
        parts += ["<jupyter_code>" if cell.is_code else "<jupyter_text>", cell.source]
        if cell.output:
            parts += ["<jupyter_output>", cell.output]
    return "".join(parts)


def render_commit(*, before: str, message: str, after: str) -> str:
    r"""Returns the change of one file: what it was, why it was changed, what it became.

    >>> render_commit(before="x = 1\n", message="Raise x", after="x = 2\n")
    '<commit_before>x = 1\n<commit_msg>Raise x<commit_after>x = 2\n'
    """
    return f"<commit_before>{before}<commit_msg>{message}<commit_after>{after}"


@dataclass(frozen=True)
class Comment:
    """One contribution to an issue; the first one is the issue's description."""

    author: str
    text: str


def render_issue(title: str, comments: Sequence[Comment], *, is_closed: bool) -> str:
    r"""Returns an issue as a thread; authors are numbered in the order in which they appear.

    A closed issue ends with `<issue_closed>`.

    >>> comments = [Comment("ann", "It fails."), Comment("bob", "Yes, @ann.")]
    >>> render_issue("Crash", comments, is_closed=False)
    '<issue_start>Title: Crash\nusername_0: It fails.<issue_comment>username_1: Yes, @username_0.'
    """
    names: dict[str, str] = {}
    for comment in comments:
        names.setdefault(comment.author, f"username_{len(names)}")
    mentioned = re.compile(
        "|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names if len(name) > 1)
        or "$^"
    )

    def anonymous(text: str) -> str:
        return mentioned.sub(lambda found: names[found[0]], text)

    contributions = [f"{names[c.author]}: {anonymous(c.text)}" for c in comments]
    thread = "<issue_comment>".join(contributions)
    closed = "<issue_closed>" if is_closed else ""
    return f"<issue_start>Title: {anonymous(title)}\n{thread}{closed}"


def render_thread(title: str, question: str, answers: Iterable[str]) -> str:
    r"""Returns a question with its answers, in the form that SlimPajama's threads have.

    >>> render_thread("Sums?", "What is 1 + 1?", ["2", "two"])
    'Q: Sums?\n\nWhat is 1 + 1?\n\nA: 2\n\nA: two'
    """
    head = "\n\n".join(part for part in (title, question) if part)
    return "\n\n".join([f"Q: {head}", *(f"A: {answer}" for answer in answers)])
