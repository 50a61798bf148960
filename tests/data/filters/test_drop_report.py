import random

from codepretrain.data.filters.drop_report import MAX_EXAMPLES, DropKey, DropReport, Tally
from tests.data.filters.documents import document

DOCUMENTS = [
    document("é" * number, "C" if number % 2 else None, id=str(number), origin=f"file {number}")
    for number in range(60)
]


def counted(documents) -> DropReport:
    report = DropReport()
    for one in documents:
        if int(one.id) < 40:
            report.drop(one, "long", "long_line")
        else:
            report.keep(one)
            report.redact(one, "emails", {"email": 2} if int(one.id) % 4 == 0 else {})
    return report


def test_counts_by_source_filter_and_language() -> None:
    report = counted(DOCUMENTS)
    key = DropKey("s", "long", "long_line", "C")
    assert (report.dropped[key].documents, report.dropped[key].num_bytes) == (20, 800)
    assert report.dropped[DropKey("s", "long", "long_line", "")].num_bytes == 760
    assert report.kept["s"].documents == 20
    assert report.redacted == {("s", "emails", ""): 5, ("s", "emails", "email"): 10}
    assert report.read("s") == (60, 2 * sum(range(60)))
    assert report.read("other") == (0, 0)


def test_ten_examples() -> None:
    tally = Tally()
    for number, one in enumerate(DOCUMENTS, 1):
        tally.add(one)
        assert len(tally.examples) == min(number, MAX_EXAMPLES)
    assert {origin for _, origin in tally.examples} <= {one.origin for one in DOCUMENTS}
    assert tally.examples == sorted(tally.examples)


def test_shards_in_any_order_add_up_to_the_report_of_the_whole() -> None:
    whole = counted(DOCUMENTS).to_json()
    rng = random.Random(0)
    for num_shards in (1, 3, 7):
        shuffled = rng.sample(DOCUMENTS, len(DOCUMENTS))
        total = DropReport()
        for shard in range(num_shards):
            part = counted(shuffled[shard::num_shards])
            total.merge(DropReport.from_json(part.to_json()))
        assert total.to_json() == whole
    assert len(whole["dropped"][0]["examples"]) == 10
