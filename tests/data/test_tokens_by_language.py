import io
import math

from rich.console import Console

from codepretrain.data.tokens_by_language import (
    TokenCounts,
    document_records,
    language_table,
    tokens_by_language,
)
from codepretrain.rows.format import SPLITS
from codepretrain.rows.store import open_sources


def record(source: str, language: str | None, num_bytes: int, num_tokens: int) -> dict:
    return {
        "source": source,
        "language": language,
        "num_bytes": num_bytes,
        "num_tokens": num_tokens,
    }


RECORDS = [
    record("code", "python", 100, 31),
    record("text", None, 50, 11),
    record("code", "go", 40, 11),
    record("code", "python", 20, 11),
    record("code", None, 9, 4),
]


def shown(counts, **options) -> str:
    output = io.StringIO()
    Console(file=output, width=120).print(language_table(counts, **options))
    return output.getvalue()


def test_counts_by_hand() -> None:
    counts = tokens_by_language(iter(RECORDS))
    assert list(counts.items()) == [
        (("code", "go"), TokenCounts(1, 40, 10)),
        (("code", "python"), TokenCounts(2, 120, 40)),
        (("code", None), TokenCounts(1, 9, 3)),
        (("text", None), TokenCounts(1, 50, 10)),
    ]
    assert counts["code", "python"].bytes_per_token == 3.0
    assert tokens_by_language([]) == {}
    assert math.isnan(TokenCounts().bytes_per_token)


def test_the_table_joins_the_smallest_languages() -> None:
    counts = tokens_by_language(RECORDS)
    lines = [line.split("│") for line in shown(counts).splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line[1:-1]] for line in lines]
    assert cells == [
        ["code", "python", "2", "0.00", "40", "3.00"],
        ["code", "go", "1", "0.00", "10", "4.00"],
        ["code", "not stated", "1", "0.00", "3", "3.00"],
        ["text", "not stated", "1", "0.00", "10", "5.00"],
    ]
    joined = shown(counts, max_languages=1)
    assert "2 other" in joined
    assert "3.77" in joined, "49 bytes, 13 tokens"
    assert "go" not in joined


def test_counts_of_prepared_rows_are_those_of_their_manifests(prepared_data) -> None:
    config, rows = prepared_data.config, prepared_data.data.rows
    for split in SPLITS:
        stores = open_sources(prepared_data.data_dir, config.data.sources, split)
        counts = tokens_by_language(document_records(stores.values()))
        assert set(counts) == {("text", None), ("code", "python")}
        for (source, _), count in counts.items():
            manifest = rows[source, split]
            assert count == TokenCounts(
                manifest.num_documents, manifest.num_bytes, manifest.num_target_tokens
            )
