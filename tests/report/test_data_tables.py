"""Tables of a real description; numbers that are checked elsewhere are compared with it."""

import copy
from typing import Any

import pytest

from codepretrain.report import data_tables
from codepretrain.report.data_tables import ALL, Table, fate_totals

Description = dict[str, Any]


def column(table: Table, title: str) -> dict[str, str]:
    """Returns a column by the first cell of its rows."""
    return {name: cells[table.titles.index(title)] for name, cells in table.rows}


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_documents_of_a_row_add_up(description: Description) -> None:
    table = data_tables.document_table(description)
    assert table.titles == (
        *("read", "skipped", "filtered", "exact duplicates", "near duplicates"),
        *("contaminated", "over limit", "train", "validation"),
    )
    assert [name for name, _ in table.rows] == ["code", "notes", "prose", ALL]
    for _, cells in table.rows:
        read, *rest = map(number, cells)
        assert read == sum(rest) > 0
    found = column(table, "read")
    assert number(found[ALL]) == sum(number(found[name]) for name in description["sources"])


def test_bytes_add_up_with_redactions(description: Description) -> None:
    table = data_tables.byte_table(description)
    assert table.titles[0] == "read"
    assert "skipped" not in table.titles
    assert table.titles[-1] == "redacted"
    assert column(table, "redacted")["code"] == "3 B"
    for source in description["sources"].values():
        totals = fate_totals(source, "num_bytes")
        found = source["fates"]
        assert sum(totals.values()) + found["num_redacted_bytes"] == found["num_bytes_read"]


def test_columns_without_documents_are_left_out(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["sources"] = {"notes": changed["sources"]["notes"]}
    assert data_tables.document_table(changed).titles == ("read", "train", "validation")
    assert data_tables.byte_table(changed).titles == ("read", "train", "validation")
    assert len(data_tables.document_table(changed).rows) == 1, "no row for all sources"


def test_fates_as_rows(description: Description) -> None:
    rows = data_tables.fate_table(description).rows
    notes = [cells[0] for name, cells in rows if name == "notes"]
    assert notes == ["read", "train", "validation"]
    prose = {cells[0]: cells[1:] for name, cells in rows if name == "prose"}
    assert prose["skipped"] == ("1", "–")
    assert prose["near duplicates"][0] == "1"
    assert [cells for name, cells in rows if name == "code"][-1] == ("redacted", "–", "3 B")


def test_reasons_name_filter_and_examples(description: Description) -> None:
    rows = {(row["source"], row["by"]): row for row in data_tables.reason_rows(description)}
    assert set(rows) == {("code", "hexadecimal_prefix"), ("prose", "reader")}
    assert rows["prose", "reader"]["bytes"] == "–"
    assert rows["code", "hexadecimal_prefix"]["examples"] == ["code.jsonl:121"]
    assert data_tables.dropped_language_rows(description) == [
        ("code", "hexadecimal_prefix", "hexadecimal", "Ada", "1", "20 B")
    ]


def test_rows_of_a_split_without_documents(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["sources"]["notes"]["rows"]["validation"] = {
        **dict.fromkeys(description["sources"]["notes"]["rows"]["validation"], 0),
        "fill": None,
        "bytes_per_token": None,
    }
    rows = data_tables.row_table(changed).rows
    assert rows[3] == ("notes", ("validation", "0", "0 B", "0", "0", "–", "–", "0"))
    assert len(rows) == 6


def test_languages_name_what_is_not_stated_and_what_is_summed(description: Description) -> None:
    changed = copy.deepcopy(description)
    languages = changed["sources"]["code"]["languages"]
    languages["entries"][-1]["name"] = None
    languages["num_languages"] = len(languages["entries"]) + 4
    names = [cells[0] for name, cells in data_tables.language_table(changed).rows if name == "code"]
    assert names[-1] == "5 others"
    prose = [cells for name, cells in data_tables.language_table(changed).rows if name == "prose"]
    assert [(cells[0], cells[3]) for cells in prose] == [("not stated", "100.0%")]


def test_a_source_without_documents_in_rows(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["sources"]["prose"]["languages"]["entries"] = []
    changed["sources"]["prose"]["lengths"] = {"log2": []}
    assert "prose" not in dict(data_tables.language_table(changed).rows)
    assert dict(data_tables.length_table(changed).rows)["prose"] == ("–",) * 4


def test_repetition(description: Description) -> None:
    paths = data_tables.path_table(description)
    of = {(name, cells[0]): cells[1:] for name, cells in paths.rows}
    [annealed] = [v for v in description["use"]["variants"] if v["variant"] == "annealed"]
    epochs = annealed["sources"]["notes"]["epochs"]
    assert 1 < epochs < 1.5
    assert of["annealed", "notes"][2:] == (f"{epochs:.2f}", "2", "1.5")
    phases = data_tables.phase_table(description)
    assert phases.titles == ("parent", "source", "share", "tokens", "epochs")
    cooldown = [cells for name, cells in phases.rows if name == "cooldown"]
    [(*others, own)] = cooldown
    assert others == ["trunk", "notes", "100.0%", "4.1k"]
    assert 0.5 < float(own) < epochs


def test_overlap_and_split(description: Description) -> None:
    pairs = description["overlap"]["pairs"]
    sharing = [" and ".join(pair["sources"]) for pair in pairs if any(pair["read"].values())]
    assert (len(pairs), sharing) == (3, ["code and notes", "notes and prose"])
    rows = data_tables.overlap_table(description).rows
    assert [name for name, _ in rows[::2]] == sharing
    assert rows[2][1][:2] == ("as read", "10")
    split = data_tables.split_table(description)
    assert set(column(split, "on both sides").values()) == {"0"}


def test_similar_texts_that_were_not_searched(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["split"] |= dict.fromkeys(
        ("num_clusters", "clusters_held_out", "clusters_on_both_sides"), None
    )
    rows = dict(data_tables.split_table(changed).rows)
    assert rows["clusters of similar texts"] == ("–", "–", "–")
    for pair in changed["overlap"]["pairs"]:
        pair["read"]["num_clusters"] = pair["used"]["num_clusters"] = None
    assert {cells[-1] for _, cells in data_tables.overlap_table(changed).rows} == {"–"}


@pytest.mark.parametrize("sought", [True, False])
def test_evaluation_sets(description: Description, sought: bool) -> None:
    changed = {**description, "decontamination": description["decontamination"] if sought else {}}
    rows = data_tables.benchmark_table(changed).rows
    assert len(rows) == sought
    if sought:
        assert rows[0][0] == "quiz"
        assert rows[0][1][:4] == ("2", "1", "1", "prose 1 (81 B)")
