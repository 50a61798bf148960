from typing import Any

from codepretrain.report.data_matrices import overlap_matrices

Description = dict[str, Any]


def shared(texts: int, clusters: int | None) -> dict[str, int | None]:
    return {
        "num_texts": texts,
        "num_bytes": 1000 * texts,
        "num_groups": 0,
        "num_clusters": clusters,
    }


def description(clusters: int | None, *sources: str) -> Description:
    pair = {"sources": ["a", "b"], "read": shared(5, clusters), "used": shared(2, clusters)}
    return {
        "overlap": {
            "sources": list(sources),
            "totals": {source: shared(1234, clusters) for source in sources},
            "pairs": [pair] if len(sources) > 1 else [],
        }
    }


def test_read_below_and_used_above_the_diagonal() -> None:
    matrices = dict(overlap_matrices(description(7, "a", "b")))
    assert list(matrices) == [
        "Equal texts",
        "Bytes of equal texts",
        "Groups",
        "Equal or similar texts",
    ]
    texts = matrices["Equal texts"]
    assert texts.titles == ("a", "b")
    assert texts.rows == (("a", ("1,234", "2")), ("b", ("5", "1,234")))
    assert matrices["Bytes of equal texts"].rows[1] == ("b", ("5 kB", "1.23 MB"))


def test_similar_texts_that_were_not_searched_and_one_source() -> None:
    assert len(overlap_matrices(description(None, "a", "b"))) == 3
    assert overlap_matrices(description(7, "a")) == []
