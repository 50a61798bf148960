import math

import numpy as np
import pytest

from codepretrain.evals.harness.choices import grade_choices, policies
from tests.evals.harness.grading import choice_item, rendered

# Four items of two and three choices; the right ones are 0, 1, 1 and {0, 2}.
ITEMS = [
    choice_item(0, ["no", "yes"], [0], [-1.0, -2.0], cluster="p"),
    choice_item(1, ["no", "yes"], [1], [-1.0, -2.0], cluster="p"),
    # -6/10 = -0.6 is better than -1/1 per character.
    choice_item(2, ["x", "ten_things"], [1], [-1.0, -6.0]),
    choice_item(3, ["aa", "bbbb", "ccc"], [0, 2], [-3.0, -2.5, -2.0]),
]


def test_accuracies_by_hand() -> None:
    scores, records = grade_choices(rendered(ITEMS))
    # Raw: choices 0, 0, 0, 2. Per character: -.5/-.67 → 0, 0, 1; -1.5, -.625, -.667 → 1.
    assert scores["accuracy"].values.tolist() == [1, 0, 0, 1]
    assert scores["accuracy_per_character"].values.tolist() == [1, 0, 1, 0]
    chance = (1 / 2 + 1 / 2 + 1 / 2 + 2 / 3) / 4
    assert scores["accuracy"].null_value == pytest.approx(chance)
    assert [record["chosen"] for record in records] == [0, 0, 0, 2]
    assert records[3]["answers"] == [0, 2]


def test_the_standard_error_is_over_passages() -> None:
    scores, _ = grade_choices(rendered(ITEMS))
    estimate = scores["accuracy"].estimate([item.cluster for item in ITEMS])
    assert (estimate.value, estimate.count, estimate.num_items) == (0.5, 3, 4)
    # Clusters (1 of 2), (0 of 1), (1 of 1), shares .5, .25, .25: residuals 0, -.5, .5, and the
    # correction 1 / (1 - 2 * .25 + .375).
    assert estimate.standard_error == pytest.approx(math.sqrt(2 * 0.25 / 0.875) / 4)


def test_bits_per_byte_of_the_right_choice_by_hand() -> None:
    scores, _ = grade_choices(rendered(ITEMS))
    gold = scores["gold_bits_per_byte"]
    # Of several right choices the most probable one; the space before a choice counts as a byte.
    np.testing.assert_allclose(gold.values, np.array([1.0, 2.0, 6.0, 2.0]) / math.log(2))
    assert gold.weights.tolist() == [3, 4, 11, 4]
    estimate = gold.estimate([item.cluster for item in ITEMS])
    assert estimate.value == pytest.approx(11.0 / math.log(2) / 22)


def test_an_item_without_a_valid_answer_counts_as_wrong_and_has_no_bits() -> None:
    items = [ITEMS[0], choice_item(1, ["no", "yes"], [], [-1.0, -2.0])]
    scores, _ = grade_choices(rendered(items))
    assert scores["accuracy"].values.tolist() == [1, 0]
    gold = scores["gold_bits_per_byte"].estimate(["a", "b"])
    assert (gold.value, gold.count) == (pytest.approx(1 / math.log(2) / 3), 1)


def test_policies_without_a_model() -> None:
    found = policies(ITEMS)
    assert found["majority"].tolist() == [1, 0, 0, 1]  # 0 and 1 are right twice each: the first
    assert found["longest"].tolist() == [0, 1, 1, 0]
    assert found["shortest"].tolist() == [1, 0, 0, 1]
    ties = [choice_item(0, ["aa", "bb", "c"], [1], [-1.0, -1.0, -1.0])]
    assert policies(ties)["longest"].tolist() == [0.5]
    scores, _ = grade_choices(rendered(ITEMS))
    assert scores["baseline/shortest"].values.tolist() == [1, 0, 0, 1]


def test_how_often_a_position_was_chosen() -> None:
    scores, _ = grade_choices(rendered(ITEMS))
    shares = [scores[f"predicted/{n}"].values.mean() for n in range(3)]
    assert shares == [0.75, 0.0, 0.25]
