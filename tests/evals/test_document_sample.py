import numpy as np
import pytest

from codepretrain.evals.document_sample import DocumentSample, Span, sample_documents
from codepretrain.rows.held_out import DOCUMENT_TYPE, SEGMENT_TYPE, HeldOutDocuments


def held_out(lengths: list[int], *, row_targets: int = 4) -> HeldOutDocuments:
    """Documents of so many targets, cut into segments of at most `row_targets`, each in a row.

    Document i has key i, cluster i // 2 and three bytes a target.
    """
    documents = np.zeros(len(lengths), DOCUMENT_TYPE)
    segments: list[tuple[int, int, int, int]] = []
    for number, length in enumerate(lengths):
        documents[number] = (number, number // 2, length, 3 * length, len(segments))
        for offset in range(0, length, row_targets):
            count = min(row_targets, length - offset)
            segments.append((len(segments), 0, offset, count + 1))
    return HeldOutDocuments(documents, np.array(segments, SEGMENT_TYPE))


def counted(sample: DocumentSample, found: HeldOutDocuments) -> list[list[int]]:
    """Returns the targets of each document that count."""
    targets: list[list[int]] = [[] for _ in range(len(sample))]
    for span in sample.spans:
        segment = found.segments[span.row]
        assert segment["offset"] == span.offset
        assert 0 <= span.start < span.stop <= segment["length"] - 1
        targets[span.document] += range(span.offset + span.start, span.offset + span.stop)
    return targets


def test_all_targets_of_all_documents() -> None:
    found = held_out([3, 9, 4])
    sample = sample_documents(found, 9, max_tokens=0)
    assert counted(sample, found) == [[*range(3)], [*range(9)], [*range(4)]]
    assert sample.spans[1] == Span(document=1, row=1, index=0, offset=0, start=0, stop=4)
    assert sample.num_counted.tolist() == sample.num_targets.tolist() == [3, 9, 4]
    assert sample.num_bytes.tolist() == [9, 27, 12]
    assert (sample.total_targets, sample.total_bytes) == (16, 48)


def test_a_window_is_consecutive_and_wraps_around() -> None:
    lengths = [9, 13, 2, 40, 5, 17, 5]
    found = held_out(lengths)
    sample = sample_documents(found, 7, max_tokens=5)
    wrapped = 0
    for length, targets in zip(lengths, counted(sample, found), strict=True):
        count = min(5, length)
        assert len(targets) == len(set(targets)) == count
        starts = [
            s for s in range(length) if {(s + i) % length for i in range(count)} == {*targets}
        ]
        assert starts
        wrapped += {0, length - 1} <= {*targets} and count < length
    assert wrapped
    assert sample.num_counted.tolist() == [5, 5, 2, 5, 5, 5, 5]
    assert (sample.total_targets, sample.total_bytes) == (32, 96)


def test_two_ends_of_a_window_in_one_segment() -> None:
    """A document in one segment whose window wraps counts with its end and its beginning."""
    found = held_out([6] * 40, row_targets=6)
    sample = sample_documents(found, 40, max_tokens=4)
    twice = {s.document for s in sample.spans if sum(o.row == s.row for o in sample.spans) == 2}
    assert len(twice) > 5
    assert all(len(targets) == 4 for targets in counted(sample, found))


def test_every_target_is_as_likely_to_count() -> None:
    """Also the first and the last ones of a document: 4,000 documents, windows of 3 of 8."""
    found = held_out([8] * 4000)
    sample = sample_documents(found, 4000, max_tokens=3)
    counts = np.bincount(np.concatenate(counted(sample, found)))
    np.testing.assert_allclose(counts / 4000, 3 / 8, atol=4 * np.sqrt(3 / 8 * 5 / 8 / 4000))


def test_more_documents_include_those_of_fewer() -> None:
    found = held_out([3, 9, 4, 20, 1, 1, 7])
    few, more = (sample_documents(found, n, max_tokens=5) for n in (3, 5))
    assert set(few.documents) < set(more.documents)
    assert few.documents.tolist() == sorted(few.documents)
    position = {number: i for i, number in enumerate(more.documents.tolist())}
    windows = counted(more, found)
    for number, targets in zip(few.documents.tolist(), counted(few, found), strict=True):
        assert targets == windows[position[number]]


def test_the_sample_depends_on_the_texts_and_not_on_their_order() -> None:
    lengths = [3, 9, 4, 20, 1, 1, 7, 8]
    found = held_out(lengths)
    back = HeldOutDocuments(found.documents[::-1], found.segments)
    one, other = (sample_documents(f, 4, max_tokens=0) for f in (found, back))
    assert sorted(one.keys.tolist()) == sorted(other.keys.tolist())


def test_the_sample_is_a_simple_random_one() -> None:
    """Long documents are no likelier: of 64 of 2,000 documents, the mean length is the mean."""
    rng = np.random.default_rng(0)
    lengths = np.ceil(np.exp(rng.normal(3, 1.5, 2000))).astype(int)
    found = held_out(lengths.tolist(), row_targets=10_000)
    means = []
    for draw in range(300):
        found.documents["key"] = rng.integers(2**63, size=2000, dtype=np.uint64) + np.uint64(draw)
        means.append(sample_documents(found, 64, max_tokens=0).num_targets.mean())
    error = lengths.std() / np.sqrt(64 * 300)
    assert abs(np.mean(means) - lengths.mean()) < 3 * error


def test_warnings() -> None:
    assert sample_documents(held_out([5] * 60), 60, max_tokens=0).warnings() == []
    [few] = sample_documents(held_out([5] * 58), 58, max_tokens=0).warnings()
    assert few.startswith("its 58 sampled documents are of 29 groups, as good as 29.0 of one size")
    [large] = sample_documents(held_out([100] * 3 + [10] * 97), 100, max_tokens=0).warnings()
    assert large.startswith("one group has 16% of the counted tokens, so its 50 groups are as good")
    assert sample_documents(held_out([100] * 3 + [10] * 97), 100, max_tokens=10).warnings() == []
    [single] = sample_documents(held_out([5, 5]), 2, max_tokens=0).warnings()
    assert single.startswith("its 2 sampled documents are of 1 groups")


def test_effective_clusters_count_what_counts() -> None:
    """Clusters of 10 and 10 targets after the cap, of 200 and 10 before."""
    found = held_out([100, 100, 5, 5])
    assert sample_documents(found, 4, max_tokens=5).effective_clusters == 2
    whole = sample_documents(found, 4, max_tokens=0).effective_clusters
    assert whole == pytest.approx(210**2 / (200**2 + 10**2))
