"""Every row adds up."""

import dataclasses
import io

from rich.console import Console

from codepretrain.config.schema import FilterConfig
from codepretrain.data.filters import make_filters
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.document_codes import CODES
from codepretrain.data.selection.selected import BenchmarkRecord, load_selection_manifest
from codepretrain.data.selection.table import (
    COLUMNS,
    selection_counts,
    selection_lines,
    selection_table,
)
from tests.fixtures.documents import Given, read
from tests.fixtures.selecting import select


def test_read_is_the_sum_of_all_other_columns(tmp_path) -> None:
    step = FilterConfig(name="text_length", options={"min_characters": 5})
    filters = tuple(make_filters("filters", [step]))
    documents = [(f"{i}", None, f"a text with the number {i:03} in it") for i in range(40)]
    documents += [("twin", None, documents[0][2]), ("odd", None, "!odd"), ("odd 2", None, "!odd")]
    documents += [(f"short {i}", None, "x y") for i in range(3)]
    documents += [(f"late {i}", None, f"another text {i:03}") for i in range(20)]
    limit = sum(len(text) for _, _, text in documents[:41]) + 10 * 16
    read(tmp_path / "s", "a", Given(documents=tuple(documents), max_bytes=limit), filters=filters)
    manifest = select(tmp_path / "s", "a", fraction=0.3)
    found = {"a": open_documents(tmp_path / "s", "a").manifest}
    counts = selection_counts(found, manifest)["a"]
    assert counts["read"] == len(documents) == sum(counts[name] for name in COLUMNS)
    assert (counts["skipped"], counts["filtered"], counts["exact_duplicate"]) == (2, 3, 1)
    assert counts["over_limit"] == 10
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(selection_table(found, manifest), crop=False)
    text = console.export_text()
    assert str(len(documents)) in text
    assert "exact" in text
    assert "contam." not in text  # no source has any
    assert "…" not in text


def test_columns_are_in_the_order_in_which_codes_are_decided() -> None:
    dropped = ("over_limit", "contaminated", "held_out_copy", "exact_duplicate", "near_duplicate")
    assert ("skipped", "filtered", *dropped, "validation", "train") == COLUMNS
    assert {*COLUMNS[2:]} == {*CODES}


def test_sentences(tmp_path) -> None:
    read(tmp_path / "s", "a", Given(documents=(("1", None, "x"), ("2", None, "y"))))
    manifest = select(tmp_path / "s", "a")
    assert selection_lines(manifest) == []
    record = BenchmarkRecord(sha256="", num_files=2, num_items=1234, num_too_short=0)
    manifest = dataclasses.replace(manifest, num_too_large=5000, benchmarks={"qa": record})
    assert selection_lines(manifest) == [
        "compared with qa: 1,234 items in 2 files",
        "5,000 documents are trained on because they are connected with more documents than are "
        "held out",
    ]
    assert load_selection_manifest(tmp_path / "s").benchmarks == {}
