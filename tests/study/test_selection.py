"""The phases that a command names."""

import pytest

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.selection import named_phases, phases_to_train
from codepretrain.study.workspace import Workspace


def test_named_phases_and_what_they_need(trained, config: StudyConfig) -> None:
    workspace = Workspace(config, trained)
    assert named_phases(workspace, None) == ["trunk", "branch", "cooldown"]
    assert named_phases(workspace, ["branch"]) == ["branch"]
    assert phases_to_train(workspace, ["branch"]) == ["trunk", "branch"]
    with pytest.raises(UserError, match=r"there is no phase 'trnk'; did you mean trunk\?"):
        phases_to_train(workspace, ["trnk"])
