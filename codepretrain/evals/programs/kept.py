"""What an unfinished evaluation keeps, so that a kill loses little.

    <folder>/<digest>.jsonl    completions, a line per problem; grades, a line per program

The digest is that of the parameters and of the evaluation's identity, so what is found was written
by the same model for the same problems and is graded by the same code. The folder may be deleted
at any time.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from codepretrain.evals.programs.grade import Grade
from codepretrain.files.hashing import sha256_json
from codepretrain.files.journal import Journal

_COMPLETIONS, _GRADE = "completions", "grade"


class Kept:
    """Completions and grades that were found; on process 0 also the journal of new ones.

    Attributes:
      completions: problem → the texts of its samples.
      grades: (problem, text) → the grade.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self.completions: dict[str, list[str]] = {}
        self.grades: dict[tuple[str, str], Grade] = {}
        for record in journal.kept if journal else ():
            content = json.loads(record["content"])
            if record["kind"] == _COMPLETIONS:
                self.completions[record["problem"]] = content
            else:
                text, grade = content
                self.grades[record["problem"], text] = Grade.from_json(grade)

    def add_completions(self, completions: Mapping[str, Sequence[str]]) -> None:
        """Writes completions by problem. On process 0."""
        for problem, texts in completions.items():
            self._append(_COMPLETIONS, problem, [*texts])
        self._sync()

    def add_grades(self, grades: Mapping[tuple[str, str], Grade]) -> None:
        """Writes grades by problem and text. On process 0."""
        for (problem, text), grade in grades.items():
            self._append(_GRADE, problem, [text, grade.to_json()])
        self._sync()

    def _append(self, kind: str, problem: str, content: Any) -> None:
        """The content is JSON in a text: a journal would read the text "NaN" as a number."""
        assert self._journal is not None
        content = json.dumps(content)
        self._journal.append({"kind": kind, "problem": problem, "content": content})

    def _sync(self) -> None:
        assert self._journal is not None
        self._journal.sync()


@contextlib.contextmanager
def kept(folder: epath.Path, contents: Mapping[str, Any]) -> Iterator[Kept]:
    """Yields what is kept under these contents. Every process calls it.

    Args:
      contents: JSON of all that decides the completions and grades.

    Raises:
      UserError: the journal is damaged or cannot be written.
    """
    from codepretrain.hosts import decide, share  # imports JAX

    path = folder / f"{sha256_json(contents)}.jsonl"
    opened: list[Kept] = []
    with contextlib.ExitStack() as stack:

        def open_journal() -> None:
            fields = {"kind": str, "problem": str, "content": str}
            opened.append(Kept(stack.enter_context(Journal(path, fields=fields))))

        decide("the unfinished evaluation", open_journal)
        own = opened[0] if opened else Kept(None)
        own.completions, own.grades = share((own.completions, own.grades))
        yield own
