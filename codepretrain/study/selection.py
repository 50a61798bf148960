"""Selects the phases that a command names."""

from collections.abc import Sequence

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError
from codepretrain.study.workspace import Workspace


def named_phases(workspace: Workspace, only: Sequence[str] | None) -> list[str]:
    """Returns the phases in `only`, or all phases without it.

    Raises:
      UserError: there is no such phase.
    """
    for name in only or ():
        if name not in workspace.phases:
            raise UserError(f"there is no phase {name!r}{suggestion(name, list(workspace.phases))}")
    return list(only or workspace.phases)


def phases_to_train(workspace: Workspace, only: Sequence[str] | None) -> list[str]:
    """Returns the named phases and their ancestors, ancestors first, each fingerprint once."""
    named = named_phases(workspace, only)
    wanted = {ancestor.name for name in named for ancestor in workspace.phases[name].path}
    seen: dict[str, str] = {}
    for name in workspace.phases:
        if name in wanted:
            seen.setdefault(workspace.fingerprint(name), name)
    return list(seen.values())
