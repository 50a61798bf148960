"""The report of a study's working directory, as a page and a table.

Imports no JAX, so it runs anywhere and starts fast.
"""

from collections.abc import Sequence

from etils import epath
from rich.console import Console

from codepretrain.report.write import write_report
from codepretrain.report.write_together import write_together
from codepretrain.study.report_input import report_input
from codepretrain.study.workspace import Workspace


def report_study(workspace: Workspace, *, command_line: str, has_items: bool = False) -> epath.Path:
    """Writes the page, prints the table, and returns the page's path.

    Args:
      has_items: whether the scores of all items are written too.
    """
    spec = report_input(workspace, command_line=command_line)
    folder = workspace.workdir / "reports" / workspace.config.name
    return write_report(spec, folder, console=Console(), has_items=has_items)


def report_studies(
    workspaces: Sequence[Workspace], *, command_line: str, has_items: bool = False
) -> epath.Path:
    """Writes one report of several studies of a working directory, and returns the page's path.

    Args:
      workspaces: of one working directory; the names of the studies differ.
    """
    specs = [report_input(workspace, command_line=command_line) for workspace in workspaces]
    reports = workspaces[0].workdir / "reports"
    return write_together(specs, reports, console=Console(), has_items=has_items)
