"""Which checkpoints are kept, by hand."""

import pytest

from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig


def test_the_permanent_steps_of_a_phase() -> None:
    config = CheckpointConfig(permanent_interval_steps=30)
    policy = CheckpointPolicy.of_phase(config, num_steps=100, branch_steps={45, 100})
    assert policy.permanent_steps == {30, 45, 60, 90, 100}
    assert policy.keeping(7).is_permanent(7)
    assert not policy.is_permanent(7)
    without = CheckpointPolicy.of_phase(CheckpointConfig(), num_steps=100, branch_steps={100})
    assert without.permanent_steps == {100}


def test_due_by_time() -> None:
    policy = CheckpointPolicy(CheckpointConfig(temporary_interval_s=10.0))
    assert [policy.is_due_by_time(s) for s in (9.9, 10.0)] == [False, True]


@pytest.mark.parametrize(
    ("num_temporary", "saved_step", "deleted"),
    [(1, 5, [1, 3]), (2, 5, [1]), (3, 5, []), (1, 3, [1]), (2, 1, [])],
)
def test_superseded(num_temporary: int, saved_step: int, deleted: list[int]) -> None:
    """1, 3 and 5 are temporary, 2 and 4 permanent; later ones than the saved step stay."""
    policy = CheckpointPolicy(CheckpointConfig(num_temporary=num_temporary))
    permanent = {1: False, 2: True, 3: False, 4: True, 5: False}
    assert policy.superseded(permanent, saved_step=saved_step) == deleted
