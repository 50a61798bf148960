"""One batch of a prepared study."""

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.show_batch import show_batch
from codepretrain.study.workspace import Workspace


def test_text_and_values_are_of_the_same_batch(prepared, config: StudyConfig) -> None:
    text, values = show_batch(Workspace(config, prepared), phase_name="branch", step=3)
    assert values["phase"] == "branch"
    assert len(values["rows"]) == config.training.batch_size
    assert {row["source"] for row in values["rows"]} == {"code"}
    assert "code" in text
    with pytest.raises(UserError, match="there is no phase 'brnch'"):
        show_batch(Workspace(config, prepared), phase_name="brnch", step=3)
