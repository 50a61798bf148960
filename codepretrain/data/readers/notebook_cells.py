"""Cells of Jupyter notebooks: `.ipynb` files (formats 3 and 4), and The Stack's parsed form."""

import json
import re
from typing import Any

from codepretrain.data.rendering import Cell

NO_OUTPUT = "_____no_output_____"  # in the parsed form

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class NotNotebookError(ValueError):
    """The value is not a notebook; the message is a reason to skip it, and names no file."""


def cells_of_json(text: str, *, with_outputs: bool = True) -> tuple[list[Cell], str | None]:
    """Returns the cells of an `.ipynb` file that are not empty, and the language of its kernel.

    Outputs are the text of streams, of results and of errors, without terminal codes; images and
    HTML are left out.

    Raises:
      NotNotebookError: it is not JSON, or not a notebook.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        raise NotNotebookError("not JSON") from None
    if not isinstance(notebook, dict):
        raise NotNotebookError("not a notebook")
    found = notebook.get("cells")
    if found is None:  # format 3
        sheets = notebook.get("worksheets")
        if not isinstance(sheets, list) or not all(isinstance(sheet, dict) for sheet in sheets):
            raise NotNotebookError("not a notebook")
        found = [cell for sheet in sheets for cell in _list(sheet.get("cells"))]
    cells = [_cell(cell, with_outputs) for cell in _list(found)]
    return [cell for cell in cells if cell.source.strip()], _language(notebook, found)


def cells_of_parsed(groups: Any, types: Any, *, with_outputs: bool = True) -> list[Cell]:
    """Returns the cells of the parsed form: groups of cells of one type, `[source, output]` each.

    Raises:
      NotNotebookError: the two lists do not fit together.
    """
    if len(_list(groups)) != len(_list(types)):
        raise NotNotebookError("not a notebook")
    cells = []
    for group, kind in zip(groups, types, strict=True):
        for pair in _list(group):
            source, *outputs = map(_text, _list(pair) or [""])
            output = outputs[0] if outputs and with_outputs and kind == "code" else ""
            cells.append(Cell(kind == "code", source, "" if output == NO_OUTPUT else output))
    return [cell for cell in cells if cell.source.strip()]


def _cell(cell: Any, with_outputs: bool) -> Cell:
    if not isinstance(cell, dict):
        raise NotNotebookError("not a notebook")
    if cell.get("cell_type") != "code":
        return Cell(False, _text(cell.get("source", "")))
    source = _text(cell.get("source", cell.get("input", "")))
    outputs = _list(cell.get("outputs") or []) if with_outputs else []
    return Cell(True, source, "".join(map(_output, outputs)))


def _output(output: Any) -> str:
    if not isinstance(output, dict):
        raise NotNotebookError("not a notebook")
    if "ename" in output:
        text = f"{_text(output['ename'])}: {_text(output.get('evalue', ''))}"
    else:
        data = output.get("data")
        plain = data.get("text/plain", "") if isinstance(data, dict) else output.get("text", "")
        text = _TERMINAL_CODES.sub("", _text(plain))
    return text if not text or text.endswith("\n") else f"{text}\n"


def _language(notebook: dict[str, Any], cells: list[Any]) -> str | None:
    metadata = notebook.get("metadata")
    for part, field in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(part) if isinstance(metadata, dict) else None
        name = found.get(field) if isinstance(found, dict) else None
        if isinstance(name, str) and name:
            return name
    languages = (cell.get("language") for cell in cells)  # of format 3, in cells of code
    return next((name for name in languages if isinstance(name, str) and name), None)


def _text(value: Any) -> str:
    """Returns a text that the format may cut into a list of lines; null is none."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    if not isinstance(value, str):
        raise NotNotebookError("not a notebook")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotNotebookError("not a notebook")
    return value
