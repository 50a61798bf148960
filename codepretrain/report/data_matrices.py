"""What sources share, as matrices: a row and a column a source.

Diagonal: distinct ones of a source as read. Below it: shared by two sources as read. Above it:
shared by what is in their rows.
"""

from collections.abc import Callable, Mapping
from typing import Any

from codepretrain.report.data_tables import Description, Table
from codepretrain.report.wording import NOT_THERE, bytes_text


def overlap_matrices(description: Description) -> list[tuple[str, Table]]:
    """Returns (title, matrix) of texts, their bytes, groups and similar texts.

    There are none for one source, and none of similar texts if these were not searched.
    """
    overlap = description["overlap"]
    if not overlap["pairs"]:
        return []
    matrices = []
    for title, field, text in (
        ("Equal texts", "num_texts", _count),
        ("Bytes of equal texts", "num_bytes", bytes_text),
        ("Groups", "num_groups", _count),
        ("Equal or similar texts", "num_clusters", _count),
    ):
        if next(iter(overlap["totals"].values()))[field] is not None:
            matrices.append((title, _matrix(overlap, field, text)))
    return matrices


def _matrix(overlap: Mapping[str, Any], field: str, text: Callable[[Any], str]) -> Table:
    sources = overlap["sources"]
    pairs = {tuple(pair["sources"]): pair for pair in overlap["pairs"]}
    rows = []
    for row, source in enumerate(sources):
        cells = []
        for column, other in enumerate(sources):
            if row == column:
                value = overlap["totals"][source][field]
            elif row > column:
                value = pairs[other, source]["read"][field]
            else:
                value = pairs[source, other]["used"][field]
            cells.append(NOT_THERE if value is None else text(value))
        rows.append((source, tuple(cells)))
    return Table(tuple(sources), tuple(rows))


def _count(value: int) -> str:
    return f"{value:,}"
