import pytest

from codepretrain.data.decontaminate import DecontaminationReport, Match
from codepretrain.data.document import Document

DOCUMENTS = [
    Document(id=str(i), text="x" * i, source="ab"[i % 2], origin=f"file {i}") for i in range(30)
]


def report_of(documents: list[Document]) -> DecontaminationReport:
    report = DecontaminationReport("f")
    for one in documents:
        matches = [Match("qa", f"item {int(one.id) % 7}", 1, "x")]
        if one.source == "b":
            matches += [Match("code", "1", 2, "x"), Match("code", "2", 2, "x")]
        report.add(one, matches)
    report.add(DOCUMENTS[0], [])
    return report


def test_counts_by_source_and_benchmark() -> None:
    report = report_of(DOCUMENTS)
    counts = {key: (tally.documents, tally.num_bytes) for key, tally in report.documents.items()}
    even, odd = sum(range(0, 30, 2)), sum(range(1, 30, 2))
    assert counts == {("a", "qa"): (15, even), ("b", "qa"): (15, odd), ("b", "code"): (15, odd)}
    items = {f"item {i}" for i in range(7)}
    assert report.items == {("a", "qa"): items, ("b", "qa"): items, ("b", "code"): {"1", "2"}}


def test_shards_add_up_to_the_whole() -> None:
    total = DecontaminationReport("f")
    for shard in (2, 0, 1):
        part = report_of(DOCUMENTS[shard::3])
        total.merge(DecontaminationReport.from_json(part.to_json()))
    assert total.to_json() == report_of(DOCUMENTS).to_json()


def test_reports_on_other_evaluation_texts_are_not_added() -> None:
    with pytest.raises(ValueError, match="expected a report on the index f, found g"):
        DecontaminationReport("f").merge(DecontaminationReport("g"))
