import math

import numpy as np
import pytest

from codepretrain.evals.unequal_clusters import corrections


@pytest.mark.parametrize("num_clusters", [2, 3, 17, 400])
def test_the_degrees_of_freedom_are_those_of_the_matrix(num_clusters: int) -> None:
    sizes = np.exp(np.random.default_rng(num_clusters).normal(3, 1.5, num_clusters))
    w = sizes / sizes.sum()
    d, freedom = corrections(w)
    s = np.sum(w**2)
    B = np.diag(w**2) - np.outer(w, w) * (w[:, None] + w[None, :] - s)
    B *= np.sqrt(np.outer(d, d))
    assert np.trace(B) == pytest.approx(s), "SE² is unbiased"
    assert freedom == pytest.approx(np.trace(B) ** 2 / np.trace(B @ B))


@pytest.mark.parametrize("num_clusters", [2, 7, 1000])
def test_equal_clusters(num_clusters: int) -> None:
    d, freedom = corrections(np.full(num_clusters, 1 / num_clusters))
    np.testing.assert_allclose(d, num_clusters / (num_clusters - 1))
    assert freedom == pytest.approx(num_clusters - 1)


def test_one_cluster_or_one_with_everything_has_no_error() -> None:
    for shares in ([1.0], [1.0, 0.0, 0.0]):
        d, freedom = corrections(np.array(shares))
        assert all(math.isnan(factor) for factor in d)
        assert freedom == 0
