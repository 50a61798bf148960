import numpy as np
import pytest

from codepretrain.study.graph import row_order
from tests.experiments.plans import epochs, experiment, phases, prints, shares

NAME = "proportion"


@pytest.mark.parametrize("percent", [0, 25, 50, 75, 90, 100])
def test_a_dose_has_its_share_of_code_in_200b_tokens(percent: int) -> None:
    """80% of the code is web code and 20% markup, as in the code initializer."""
    phase = experiment(NAME).variants[f"code_{percent}"]
    expected = {
        "text": 1 - percent / 100,
        "web_code": 0.8 * percent / 100,
        "markup": 0.2 * percent / 100,
    }
    found = shares(NAME, phase)
    assert found == pytest.approx({s: x for s, x in expected.items() if x > 1e-9}, abs=1e-6)
    assert phases(NAME)[phase].num_steps == 47_684


@pytest.mark.parametrize("billions", [50, 100, 150, 200])
def test_text_alone_at_each_length_is_a_decay_from_one_trunk(billions: int) -> None:
    decay = phases(NAME)[f"text_{billions}b"]
    assert decay.tokens_before + decay.tokens == pytest.approx(billions * 1e9, abs=5e6)
    assert decay.tokens == pytest.approx(0.2 * billions * 1e9, abs=5e6)
    assert decay.path[0].name == "text_stable"
    assert decay.learning_rate(0) == 1e-3
    assert decay.learning_rate(decay.num_steps - 1) == 3e-4
    assert shares(NAME, decay.name) == {"text": 1.0}


def test_repeated_text_is_the_first_quarter_again_and_fresh_text_is_new() -> None:
    """The two differ in which rows they read, and in nothing else."""
    repeated, fresh = (phases(NAME)[f"text_{name}"] for name in ("repeated", "fresh"))
    for phase in (repeated, fresh):
        assert phase.tokens_before == pytest.approx(150e9, abs=5e6)
        assert phase.tokens == pytest.approx(50e9, abs=5e6)
        assert phase.parent.name == "text_init"
    assert repeated.rates == fresh.rates
    assert repeated.start_ordinals == {}
    assert fresh.start_ordinals == {"text": repeated.parent_step * 512}
    available = {"text": 61_400_000}
    first, again, new = (
        row_order(phase, rows_available=available).batch(100).record
        for phase in (phases(NAME)["text_init"], repeated, fresh)
    )
    np.testing.assert_array_equal(again, first)
    assert not np.isin(new, first).any()


def test_the_additive_arm_has_as_much_text_as_the_arm_without_code() -> None:
    rows = phases(NAME)["balanced_pretrain"].rows_per_source()
    assert rows["text"] == pytest.approx(phases(NAME)["text_init"].num_rows, abs=512)
    assert rows["text"] == pytest.approx(rows["web_code"] + rows["markup"], abs=1)


def test_scrambled_code_has_the_shares_of_a_quarter_of_code() -> None:
    scrambled, code = shares(NAME, "scrambled_25_init"), shares(NAME, "code_25_init")
    assert {name.removeprefix("scrambled_"): x for name, x in scrambled.items()} == code
    sources = experiment(NAME).data.sources
    for name in ("web_code", "markup"):
        control, source = sources[f"scrambled_{name}"], sources[name]
        assert [of.name for of in control.filters] == [
            *(of.name for of in source.filters),
            "scramble",
        ]
        assert control.options == source.options
    assert prints(NAME)["scrambled_25_init"] != prints(NAME)["code_25_init"]


def test_repetition_is_as_the_budgets_imply() -> None:
    assert epochs(NAME, "code_init")["web_code"] == pytest.approx(1.15, abs=0.005)
    assert epochs(NAME, "text_init")["text"] == pytest.approx(0.40, abs=0.005)


def test_a_trend_is_the_change_over_all_doses() -> None:
    """Scores that rise by 3 points from 0 to 100%, in a line, have a trend of 3 points."""
    contrast = experiment(NAME).contrasts["trend_of_code"]
    scores = {arm: 3.0 * int(arm.removeprefix("code_")) / 100 for arm in contrast.arms}
    trend = sum(weight * scores[arm] for arm, weight in contrast.arms.items())
    assert trend == pytest.approx(3.0)
