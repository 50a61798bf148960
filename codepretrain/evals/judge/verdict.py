"""The verdict in a judge's answer.

The last line that is not blank must be the verdict and nothing else, apart from emphasis and a
period. Earlier lines do not count: the reasons may quote a completion that contains a verdict.
Whatever else the answer says, such as a third option or two options at once, is no verdict.
"""

import re

from codepretrain.evals.judge.match import Choice

_EMPHASIS = r"[*_`#>\s]*"
_VERDICT = re.compile(
    rf"{_EMPHASIS}verdict{_EMPHASIS}:{_EMPHASIS}(?:answer\s+)?(1|2|tie){_EMPHASIS}\.?{_EMPHASIS}",
    re.IGNORECASE | re.ASCII,
)
_MAX_LINE = 100  # of characters; matching takes quadratic time
_CHOICES: dict[str, Choice] = {"1": "first", "2": "second", "tie": "tie"}


def parse_verdict(answer: str) -> Choice | None:
    """Returns the verdict at the end of an answer, None if there is none.

    >>> parse_verdict("Both are right, the second is clearer.\\n\\n**VERDICT: 2**\\n")
    'second'
    """
    lines = answer.strip().splitlines()
    found = _match(lines[-1]) if lines else None
    return _CHOICES[found[1].lower()] if found else None


def has_verdict_line(text: str) -> bool:
    """Returns whether a line of a text has the form of a verdict."""
    return any(map(_match, text.splitlines()))


def _match(line: str) -> re.Match[str] | None:
    return _VERDICT.fullmatch(line) if len(line) <= _MAX_LINE else None
