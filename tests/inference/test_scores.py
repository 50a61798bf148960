import numpy as np
import pytest

from codepretrain.inference.scores import ArmScores, aligned, averaged_over_trunks

IDS = ["a", "b", "c"]


def arm(values, **changed) -> ArmScores:
    fields = {"ids": IDS, "clusters": IDS, "values": np.asarray(values, float), **changed}
    return ArmScores(**fields)


def test_metrics_are_ratios_of_sums() -> None:
    one = arm([[1, 2, 3], [4, 5, 6]], weights=np.array([[1.0, 1, 2], [1, 2, 2]]))
    np.testing.assert_allclose(one.metrics, [6 / 4, 15 / 5])


def test_runs_of_one_trunk_are_one_replicate() -> None:
    """Each run counts equally, whatever its weights."""
    weights = np.array([[1.0, 1, 2], [10, 20, 10], [1, 1, 1]])
    one = arm([[1, 2, 3], [40, 50, 70], [4, 5, 6]], weights=weights)
    found = averaged_over_trunks(one, ["x", "x", "y"])
    np.testing.assert_allclose(found.metrics, [(6 / 4 + 160 / 40) / 2, 5.0])
    plain = averaged_over_trunks(arm([[1, 2, 3], [3, 4, 5], [4, 5, 6]]), ["x", "x", "y"])
    np.testing.assert_allclose(plain.values, [[2, 3, 4], [4, 5, 6]])


def test_values_that_are_0_or_1_are_fractions() -> None:
    assert arm([[0, 1, 1]]).item_range == 1
    assert arm([[0, 1, 0.5]]).item_range is None  # may be bits
    assert arm([[0, 1, 2]]).item_range is None
    assert arm([[0, 1, 0.5]], weights=np.ones((1, 3))).item_range is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"values": np.zeros(3)}, r"values: expected \[replicates, 3 items\], found \(3,\)"),
        ({"clusters": ["a"]}, "clusters: expected 3 entries, found 1"),
        ({"strata": np.zeros(2)}, "strata: expected 3 entries, found 2"),
        ({"weights": np.ones((2, 3))}, r"weights: expected \(1, 3\), found \(2, 3\)"),
        ({"weights": -np.ones((1, 3))}, "weights: expected no negative value"),
        ({"ids": ["a", "a", "b"]}, "ids: expected distinct items"),
    ],
)
def test_scores_that_do_not_fit(changed, message) -> None:
    with pytest.raises(ValueError, match=message):
        arm(**{"values": [[0, 1, 0]], **changed})


def test_arms_in_other_clusters_or_strata_are_not_aligned() -> None:
    one = arm([[0, 1, 0]])
    with pytest.raises(ValueError, match=r"other clusters \(documents\) than soup's"):
        aligned([one, arm([[0, 1, 0]], clusters=["a", "b", "b"])], ["base", "soup"])
    with pytest.raises(ValueError, match=r"other strata \(sources\) than arm 1's"):
        aligned([one, arm([[0, 1, 0]], strata=np.array([0, 1, 1]))])
    with pytest.raises(ValueError, match="expected 1 entries, found 2"):
        averaged_over_trunks(one, ["x", "y"])
