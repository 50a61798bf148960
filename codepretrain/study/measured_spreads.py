"""What finished runs in the working directory say of the spread of a contrast."""

from collections.abc import Mapping

from codepretrain.study.spreads import Spread
from codepretrain.study.workspace import Workspace


def measured_spreads(workspace: Workspace) -> Mapping[str, Spread]:
    """Returns contrast → its spread, of those whose arms have replicates with item scores."""
    return {}
