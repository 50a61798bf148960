import numpy as np

from codepretrain.data.description.lengths import length_histogram, length_quantiles


def test_bins_of_a_factor_of_two() -> None:
    sizes = np.array([0, 1, 2, 3, 4, 7, 8, 1023, 1024], np.uint32)
    assert length_histogram(sizes) == [2, 2, 2, 1, 0, 0, 0, 0, 0, 1, 1]
    assert sum(length_histogram(sizes)) == len(sizes)


def test_lengths_at_powers_of_two_are_exact() -> None:
    for power in range(1, 32):
        sizes = np.array([2**power - 1, 2**power], np.uint32)
        assert length_histogram(sizes)[power - 1 :] == [1, 1]


def test_quantiles_are_lengths_of_documents() -> None:
    sizes = np.arange(1, 101, dtype=np.uint32)[::-1]
    assert length_quantiles(sizes) == {"p5": 6, "median": 51, "p95": 96, "longest": 100}
    assert length_quantiles(sizes[:1]) == dict.fromkeys(("p5", "median", "p95", "longest"), 100)


def test_no_documents() -> None:
    empty = np.empty(0, np.uint32)
    assert length_histogram(empty) == []
    assert length_quantiles(empty) == {}
