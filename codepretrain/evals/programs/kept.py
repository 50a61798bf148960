"""Grades of an unfinished evaluation, kept as they come, so that a kill loses little.

    <folder>/<digest>-grades.jsonl    a line per completion

The digest is that of the parameters and of the evaluation's identity, so what is found was written
by the same model for the same problems and is graded by the same code. The folder may be deleted
at any time.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from codepretrain.evals.programs.grade import Grade
from codepretrain.files.hashing import sha256_json
from codepretrain.files.journal import Journal


class KeptGrades:
    """Grades that were found; on process 0 also the journal of new ones.

    Attributes:
      grades: (id of the problem, completion) → the grade.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self.grades: dict[tuple[str, str], Grade] = {}
        for record in journal.kept if journal else ():
            text, grade = json.loads(record["content"])
            self.grades[record["problem"], text] = Grade.from_json(grade)

    def add(self, grades: Mapping[tuple[str, str], Grade]) -> None:
        """Writes new grades. On process 0."""
        assert self._journal is not None
        for (problem, text), grade in grades.items():
            content = json.dumps([text, grade.to_json()])
            self._journal.append({"problem": problem, "content": content})
        self._journal.sync()


@contextlib.contextmanager
def kept_grades(folder: epath.Path, contents: Mapping[str, Any]) -> Iterator[KeptGrades]:
    """Yields what is kept under these contents. Every process calls it.

    Args:
      contents: JSON of all that decides the completions and grades.

    Raises:
      UserError: the journal is damaged or cannot be written.
    """
    from codepretrain.hosts import decide, share  # imports JAX

    path = folder / f"{sha256_json(contents)}-grades.jsonl"
    opened: list[KeptGrades] = []
    with contextlib.ExitStack() as stack:

        def open_journal() -> None:
            fields = {"problem": str, "content": str}
            opened.append(KeptGrades(stack.enter_context(Journal(path, fields=fields))))

        decide("the grades that are kept", open_journal)
        own = opened[0] if opened else KeptGrades(None)
        own.grades = share(own.grades)
        yield own
