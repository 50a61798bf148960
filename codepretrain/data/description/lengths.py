"""Histograms of document lengths: bins of a factor of two, in UTF-8 bytes."""

import numpy as np


def length_histogram(num_bytes: np.ndarray) -> list[int]:
    """Returns how many documents have 2^i to 2^(i+1) − 1 bytes, for i from 0 to the longest.

    Documents without text, of 0 bytes, are in the first bin.
    """
    if not len(num_bytes):
        return []
    bins = np.bincount(_log2(num_bytes))
    return bins.tolist()


def length_quantiles(num_bytes: np.ndarray) -> dict[str, int]:
    """Returns the 5th, 50th and 95th percentile and the maximum: each is a document's length."""
    if not len(num_bytes):
        return {}
    values = np.sort(num_bytes)
    places = {"p5": 0.05, "median": 0.5, "p95": 0.95, "longest": 1.0}
    return {
        name: int(values[min(len(values) - 1, int(place * len(values)))])
        for name, place in places.items()
    }


def _log2(values: np.ndarray) -> np.ndarray:
    """Returns the largest i with 2^i ≤ value, 0 for 0; exact, unlike a logarithm of floats."""
    _, exponents = np.frexp(np.maximum(values, 1).astype(np.float64))
    return exponents.astype(np.int64) - 1
