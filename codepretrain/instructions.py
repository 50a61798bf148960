"""The text format of instructions: the same in training data and in prompts of an evaluation.

    instruction ⏎⏎ context ⏎⏎ response

The parts have no white space around them, and an empty context is left out. There are no markers:
an answer is what follows the blank line, and its document ends with it.
"""

from collections.abc import Iterable

_SEPARATOR = "\n\n"


def render_instruction(parts: Iterable[str]) -> str:
    r"""Returns a prompt, what it refers to, and the answer, or the messages of a conversation.

    >>> render_instruction(["Add the numbers.", "1 and 2", "3"])
    'Add the numbers.\n\n1 and 2\n\n3'
    """
    return _SEPARATOR.join(text for part in parts if (text := part.strip()))


def render_prompt(instruction: str, context: str = "") -> str:
    r"""Returns an instruction up to where its answer begins.

    >>> render_prompt("Add the numbers.", " 1 and 2\n")
    'Add the numbers.\n\n1 and 2\n\n'
    """
    return render_instruction([instruction, context]) + _SEPARATOR
