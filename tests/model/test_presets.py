import pytest

from codepretrain.errors import UserError
from codepretrain.model.presets import PRESETS, preset
from codepretrain.model.size import num_parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("30m", 30.3e6), ("125m", 124.3e6), ("470m", 467.7e6), ("2_8b", 2768.3e6)],
)
def test_parameters(name, parameters):
    assert num_parameters(PRESETS[name]) == pytest.approx(parameters, rel=2e-3)


def test_unknown():
    with pytest.raises(UserError, match=r"no model preset '470M'; did you mean 470m\?"):
        preset("470M")
