"""The prompt that asks for a solution, and the solution in an answer."""

import re

from codepretrain.data.synthetic.problem import Problem

_PROMPT = """\
{statement}

Answer with one Python code block that defines `{name}` and imports what it needs from the standard
library. No tests, no example calls, no explanation after the code.
"""
_OPENING = re.compile(r"```[^\n`]*\n")


def prompt(problem: Problem) -> str:
    """Returns what a teacher is asked: the statement, neither the tests nor the reference."""
    return _PROMPT.format(statement=problem.statement, name=problem.name)


def solution_in(answer: str, name: str) -> str | None:
    """Returns the last code block that mentions `name`, or the whole answer if there is no block.

    None: there are blocks, but none mentions it.
    """
    text = answer.replace("\r\n", "\n")
    blocks = _blocks(text)
    if not blocks:
        unclosed = text.partition("```")[2].partition("\n")[2]
        blocks = [unclosed or text]
    mentioning = [block for block in blocks if re.search(rf"\b{re.escape(name)}\b", block)]
    return f"{mentioning[-1].strip()}\n" if mentioning else None


def _blocks(text: str) -> list[str]:
    """Returns the contents of the fenced code blocks that are closed."""
    blocks = []
    lines: list[str] | None = None
    for line in text.split("\n"):
        if lines is None:
            lines = [] if _OPENING.fullmatch(f"{line}\n") else None
        elif line.rstrip(" \t") == "```":
            blocks.append("".join(lines))
            lines = None
        else:
            lines.append(f"{line}\n")
    return blocks
