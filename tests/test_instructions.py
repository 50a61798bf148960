import doctest

from codepretrain import instructions
from codepretrain.instructions import render_instruction, render_prompt


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(instructions) == doctest.TestResults(failed=0, attempted=2)


def test_a_training_document_begins_with_the_prompt_of_an_evaluation() -> None:
    for context in ("", "1 and 2\n", "\n a\n\nb "):
        document = render_instruction(["Add. ", context, " 3"])
        assert document == render_prompt("Add. ", context) + "3"
