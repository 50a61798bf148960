import dataclasses
from fractions import Fraction

import pytest

from codepretrain.config.schema import MixtureChange, PhaseConfig, SourceConfig
from codepretrain.data.seqio_mixtures import check_names, phase_shares
from codepretrain.errors import UserError
from tests.configs import CONSTANT, STEP_TOKENS, small_study


def test_shares_of_a_phase_are_the_mean_of_its_stages_by_tokens() -> None:
    changes = (
        MixtureChange(at_tokens=5 * STEP_TOKENS, weights={"text": 1.0, "code": 1.0}),
        MixtureChange(at_tokens=8 * STEP_TOKENS, weights={"text": 0.0, "code": 7.0}),
    )
    phase = PhaseConfig(
        tokens=10 * STEP_TOKENS, mixture={"text": 4.0}, schedule=CONSTANT, mixture_changes=changes
    )
    found = phase_shares(small_study({"only": phase}), "only")
    assert found == {
        "": {"text": Fraction(5 * 2 + 3, 20), "code": Fraction(3 + 2 * 2, 20)},
        ".stage0": {"text": Fraction(1)},
        ".stage1": {"text": Fraction(1, 2), "code": Fraction(1, 2)},
        ".stage2": {"code": Fraction(1)},
    }


def test_two_things_of_one_name_are_refused() -> None:
    config = small_study()
    check_names(config)
    source = SourceConfig(reader="folder", kind="code")
    data = dataclasses.replace(config.data, sources={"mixture": source})
    config = dataclasses.replace(
        config, data=data, phases={"rows": config.phases["trunk"]}, variants={"only": "rows"}
    )
    with pytest.raises(UserError, match=r"codepretrain\.small\.mixture\.rows: rename one"):
        check_names(config)
