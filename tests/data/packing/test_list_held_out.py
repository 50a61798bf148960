import dataclasses

import numpy as np
import pytest

from codepretrain.data.packing.list_held_out import documents_of
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.selected import load_components, load_split
from codepretrain.rows.held_out import open_held_out
from codepretrain.rows.store import RowStore, open_sources
from tests.data.packing.test_write_part import join, write


@pytest.mark.parametrize(
    ("packing", "segments"),
    [
        # Rows, T = 8: 9 of d2 | d1 | d0, d3 | 5 of d2.
        ("best_fit", [(2, 0, 0, 6), (1, 0, 0, 7), (0, 0, 0, 9), (3, 0, 8, 5), (2, 1, 0, 3)]),
        # Rows: d0, 3 of d1 | 5 of d1, 4 of d2 | 9 of d2 | 2 of d2, d3.
        (
            "concatenate",
            [
                (0, 0, 0, 6),
                (0, 1, 0, 3),
                (1, 0, 2, 5),
                (1, 1, 0, 4),
                (2, 0, 3, 9),
                (3, 0, 11, 2),
                (3, 1, 0, 3),
            ],
        ),
    ],
)
def test_segments_by_hand(tmp_path, packing, segments) -> None:
    join(tmp_path, write(tmp_path, [6, 7, 13, 3], packing=packing), packing=packing)
    store = RowStore(tmp_path, source="s", split="train")
    keys, clusters = np.arange(4, dtype=np.uint64), np.array([5, 5, 6, 7], np.uint64)
    found = documents_of(store, keys=keys, clusters=clusters)
    assert found.segments.tolist() == segments
    assert found.documents["num_targets"].tolist() == [5, 6, 12, 2]
    assert found.documents["num_bytes"].tolist() == [4, 5, 11, 1]
    assert found.documents["cluster"].tolist() == [5, 5, 6, 7]
    for document, count in enumerate(found.documents["num_targets"]):
        of_document = found.segments_of(document)
        starts = of_document["offset"].tolist()
        assert starts == np.cumsum([0, *(of_document["length"] - 1)])[:-1].tolist()
        assert (of_document["length"] - 1).sum() == count


def test_a_segment_without_targets_is_left_out(tmp_path) -> None:
    """Of the second document, only bos fits into the first row."""
    join(tmp_path, write(tmp_path, [8, 4], packing="concatenate"), packing="concatenate")
    store = RowStore(tmp_path, source="s", split="train")
    assert store[0].segment_lengths.tolist() == [8, 1]
    keys = np.zeros(2, np.uint64)
    found = documents_of(store, keys=keys, clusters=keys)
    assert found.segments.tolist() == [(0, 0, 0, 8), (1, 0, 0, 4)]


def test_counts_that_differ_from_the_manifest(tmp_path) -> None:
    join(tmp_path, write(tmp_path, [6, 7]))
    store = RowStore(tmp_path, source="s", split="train")
    store.manifest = dataclasses.replace(store.manifest, num_bytes=8)
    keys = np.zeros(2, np.uint64)
    with pytest.raises(AssertionError, match="9 listed, 8 in manifest"):
        documents_of(store, keys=keys, clusters=keys)


def test_prepared_documents_are_listed_with_key_and_cluster(prepared_data) -> None:
    data_dir = prepared_data.data_dir
    stores = open_sources(data_dir, prepared_data.config.data.sources, "validation")
    listed = open_held_out(data_dir, {s: store.manifest for s, store in stores.items()})
    for source, found in listed.items():
        members = load_split(data_dir, source=source, split="validation")
        keys = open_documents(data_dir, source).keys()[members]
        assert found.documents["key"].tolist() == keys["text"].tolist()
        assert found.documents["num_bytes"].tolist() == keys["num_bytes"].tolist()
        assert np.array_equal(found.documents["cluster"], load_components(data_dir, source))
        for document in range(len(found)):
            described = stores[source].document(document)
            assert described["num_tokens"] == found.documents["num_targets"][document] + 1
            for segment in found.segments_of(document):
                row = stores[source][int(segment["row"])]
                assert row.documents[segment["index"]] == document
                assert row.document_offsets[segment["index"]] == segment["offset"]
