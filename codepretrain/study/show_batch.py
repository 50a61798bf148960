"""One batch of a phase with its documents. Imports no JAX."""

from typing import Any

from codepretrain.stream.show_batch import list_batch, render_batch
from codepretrain.study.selection import named_phases
from codepretrain.study.workspace import Workspace


def show_batch(workspace: Workspace, *, phase_name: str, step: int) -> tuple[str, dict[str, Any]]:
    """Returns the listing of one batch, as text and as values.

    Raises:
      UserError: there is no such phase or step.
    """
    [name] = named_phases(workspace, [phase_name])
    listing = list_batch(
        workspace.row_order(name),
        workspace.stores,
        step=step,
        parent_digest=workspace.parent_digest(name),
    )
    return render_batch(listing), {"phase": name, **listing}
