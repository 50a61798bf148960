"""Asks a teacher for solutions; every answer is paid, so every answer is kept.

    problems  →  prompt  →  endpoint  →  journal  →  reader `synthetic_code` with `candidates=`

The journal is a file of candidates (`candidates.py`), a line for each answer. See
`endpoint/paid_requests.py` for what is sent again, and when.
"""

from collections.abc import Callable, Iterator

from codepretrain.data.synthetic.answers import Terms, answer_record, requests
from codepretrain.data.synthetic.problem import Problem
from codepretrain.endpoint.account import Account
from codepretrain.endpoint.chat import Endpoint
from codepretrain.endpoint.pace import Pace
from codepretrain.endpoint.paid_requests import ask_all
from codepretrain.files.storage import StrPath


def ask_teacher(
    problems: Iterator[Problem],
    endpoint: Endpoint,
    terms: Terms,
    *,
    journal: StrPath,
    pace: Pace | None = None,
    announce: Callable[[str], None] | None = None,
) -> Account:
    """Asks for `terms.samples` solutions of each problem that are not in the journal yet.

    Args:
      problems: read as they are needed.
      pace: for tests; by default it follows `terms`.
      announce: called with a message when a request failed for good, and when the first one is
        attempted again.

    Raises:
      UserError: the endpoint accepts no request, or the journal is in use or cannot be written.
    """
    return ask_all(
        requests(problems, endpoint, terms.samples),
        endpoint,
        terms,
        journal=journal,
        record=lambda request, answer: answer_record(request, answer, endpoint, terms),
        pace=pace,
        announce=announce,
    )
