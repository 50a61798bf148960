import pytest

from codepretrain.config.schema import MixtureChange, PhaseConfig
from codepretrain.errors import UserError
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.stages import num_steps, phase_stages
from tests.configs import BATCH_SIZE, CONSTANT, STEP_TOKENS, small_study


def phase(*changes: MixtureChange) -> PhaseConfig:
    return PhaseConfig(
        tokens=10 * STEP_TOKENS,
        mixture={"text": 3.0, "code": 0.0},
        schedule=CONSTANT,
        mixture_changes=changes,
    )


def test_a_budget_is_the_nearest_whole_number_of_steps() -> None:
    config = small_study()
    half = STEP_TOKENS // 2
    tokens = [half - 1, half, STEP_TOKENS, 3 * STEP_TOKENS + half]
    assert [num_steps(number, config) for number in tokens] == [0, 1, 1, 4]


def test_stages_are_whole_steps_and_omit_sources_without_weight() -> None:
    change = MixtureChange(at_tokens=6 * STEP_TOKENS + 1, weights={"text": 1.0, "code": 1.0})
    assert phase_stages("p", phase(change), small_study()) == (
        MixtureStage(num_rows=6 * BATCH_SIZE, weights={"text": 3.0}),
        MixtureStage(num_rows=4 * BATCH_SIZE, weights={"text": 1.0, "code": 1.0}),
    )


def test_two_changes_in_one_step_are_refused() -> None:
    changes = [MixtureChange(at_tokens=tokens, weights={"text": 1.0}) for tokens in (600, 610)]
    with pytest.raises(UserError, match=r"config\.phases\.p\.mixture_changes: expected at least"):
        phase_stages("p", phase(*changes), small_study())
