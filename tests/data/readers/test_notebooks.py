import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.rendering import HAS_MARKER
from tests.data.readers.reading import read, reader

CELLS: list[Any] = [
    {"cell_type": "markdown", "metadata": {}, "source": ["# Sums\n", "of numbers"]},
    {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": "print(1)\n1 + 1",
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["\x1b[31m1\x1b[0m\n"]},
            {
                "output_type": "execute_result",
                "data": {"text/plain": "2", "text/html": "<b>2</b>"},
                "metadata": {},
            },
            {"output_type": "display_data", "data": {"image/png": "iVBOR"}, "metadata": {}},
        ],
    },
    {"cell_type": "code", "metadata": {}, "source": [], "outputs": []},
    {
        "cell_type": "code",
        "metadata": {},
        "source": ["1 / 0"],
        "outputs": [
            {
                "output_type": "error",
                "ename": "ZeroDivisionError",
                "evalue": "division by zero",
                "traceback": ["\x1b[0;31m"],
            }
        ],
    },
]
TEXT = (
    "<jupyter_start><jupyter_text># Sums\nof numbers<jupyter_code>print(1)\n1 + 1"
    "<jupyter_output>1\n2\n<jupyter_code>1 / 0"
    "<jupyter_output>ZeroDivisionError: division by zero\n"
)


def notebook(cells: Any = CELLS) -> str:
    metadata = {"kernelspec": {"name": "python3", "language": "Python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_notebook_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.ipynb").write_text(notebook())
    old = [
        {"cell_type": "heading", "level": 1, "source": ["Old"]},
        {
            "cell_type": "code",
            "input": ["1"],
            "language": "python",
            "outputs": [
                {"output_type": "pyout", "text": ["1"]},
                {"output_type": "x", "text": None},
            ],
        },
    ]
    (tmp_path / "a" / "y.ipynb").write_text(json.dumps({"worksheets": [{"cells": old}]}))
    documents, skipped = read(reader("notebooks", path=f"{tmp_path}/**/*.ipynb"))
    assert not skipped
    assert [(d.id, d.origin, d.text, d.language) for d in documents] == [
        ("a/x.ipynb", "a/x.ipynb", TEXT, "python"),
        (
            "a/y.ipynb",
            "a/y.ipynb",
            "<jupyter_start><jupyter_text>Old<jupyter_code>1<jupyter_output>1\n",
            "python",
        ),
    ]
    assert documents[0].metadata == {"format": "notebook"}
    folder = tmp_path.name
    assert [d.group for d in documents] == [f"file:{folder}/a/{x}.ipynb" for x in "xy"]
    path = f"{tmp_path}/**/x.ipynb"
    [document] = read(reader("notebooks", path=path, includes_outputs=False))[0]
    assert "output" not in document.text


def test_the_two_forms_of_the_stack(tmp_path: Path) -> None:
    where = {
        "max_stars_repo_name": "Owner/Name",
        "max_stars_repo_path": "a.ipynb",
        "max_stars_repo_licenses": ["MIT"],
    }
    pq.write_table(pa.Table.from_pylist([{"content": notebook(), **where}]), tmp_path / "a.parquet")
    parsed = {
        "cells": [[["# Sums\nof numbers", "_____no_output_____"]], [["1 + 1", "2"], ["x", ""]]],
        "cell_types": ["markdown", "code"],
        "cell_type_groups": [["markdown"], ["code", "code"]],
        **where,
    }
    pq.write_table(pa.Table.from_pylist([parsed]), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_text(json.dumps(parsed))
    documents, skipped = read(reader("notebooks", path=f"{tmp_path}/*"))
    assert not skipped
    short = (
        "<jupyter_start><jupyter_text># Sums\nof numbers<jupyter_code>1 + 1<jupyter_output>2"
        "<jupyter_code>x"
    )
    assert [(d.id, d.text) for d in documents] == [
        ("a.parquet:1", TEXT),
        ("b.parquet:1", short),
        ("c.jsonl:1", short),
    ]
    for document in documents:
        assert document.group == "repository:github.com/owner/name"
        assert document.license == "MIT"
        assert document.metadata == {
            "format": "notebook",
            "repository": "Owner/Name",
            "path": "a.ipynb",
        }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (notebook()[:-9].encode(), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a notebook"),
        (b"{}", "not a notebook"),
        (b'{"worksheets": [1]}', "not a notebook"),
        (notebook("cells").encode(), "not a notebook"),
        (notebook([1]).encode(), "not a notebook"),
        (notebook([{"cell_type": "code", "source": 1}]).encode(), "not a notebook"),
        (
            notebook([{"cell_type": "code", "outputs": [1], "source": ""}]).encode(),
            "not a notebook",
        ),
        (notebook([]).encode(), "notebook without cells"),
        (notebook([{"cell_type": "code", "source": " "}]).encode(), "notebook without cells"),
        (notebook([{"cell_type": "raw", "source": "<jupyter_code>"}]).encode(), HAS_MARKER),
        (b'{"cells": "\xff"}', "not UTF-8"),
    ],
)
def test_what_is_no_notebook_is_counted(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    documents, skipped = read(reader("notebooks", path=str(path)))
    assert not documents
    assert [(s.origin, s.reason) for s in skipped] == [(str(path), reason)]


def test_records_that_are_no_notebooks(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [
        {"cells": [[["x", ""]]], "cell_types": []},
        {"cells": [["x"]], "cell_types": ["code"]},
        {"cells": None},
        {"path": "x"},
        {"content": "{"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    _, skipped = read(reader("notebooks", path=str(path)))
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{path}:1", "not a notebook"),
        (f"{path}:2", "not a notebook"),
        (f"{path}:3", "not a notebook"),
        (f"{path}:4", "no field 'content'"),
        (f"{path}:5", "not JSON"),
    ]


def test_ten_thousand_cells(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "code", "source": str(number), "outputs": []} for number in range(10_000)
    ]
    (tmp_path / "a.ipynb").write_text(notebook(cells))
    [document] = read(reader("notebooks", path=f"{tmp_path}/*"))[0]
    assert document.text.count("<jupyter_code>") == 10_000
