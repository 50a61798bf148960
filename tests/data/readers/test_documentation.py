"""The examples in `docs/readers.md`: each raw file gives the document that is shown below it."""

import re
from pathlib import Path

import pytest

from codepretrain.data.rendering import MARKERS
from tests.data.readers.reading import read, reader

PAGE = (Path(__file__).parents[3] / "docs" / "readers.md").read_text()
EXAMPLES = re.findall(
    r"^```(?:json|xml) (\w+) (\S+)([^\n]*)\n(.*?)\n```\n```text\n(.*?)\n```$", PAGE, re.M | re.S
)


@pytest.mark.parametrize(
    ("name", "file", "options", "raw", "text"), EXAMPLES, ids=[example[1] for example in EXAMPLES]
)
def test_an_example(
    tmp_path: Path, name: str, file: str, options: str, raw: str, text: str
) -> None:
    path = tmp_path / file
    path.write_text(f"{raw}\n")
    named = dict(option.split("=", 1) for option in options.split())
    path_option = "candidates" if name == "synthetic_code" else "path"
    documents, skipped = read(reader(name, **{path_option: str(path)}, **named))
    assert not skipped
    assert [document.text for document in documents] == [text]


def test_every_format_has_an_example() -> None:
    assert len(EXAMPLES) == PAGE.count("\n```text\n") == 12
    assert {example[0] for example in EXAMPLES} == {
        *("slimpajama", "the_stack", "notebooks", "commits", "issues", "stackexchange"),
        *("instruct", "synthetic_code"),
    }
    assert all(any(marker in example[4] for example in EXAMPLES) for marker in MARKERS)
