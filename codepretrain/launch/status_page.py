"""The status of a job as one HTML page: no network, no scripts; it refreshes itself."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from codepretrain.launch import wording
from codepretrain.launch.events import Event, utc
from codepretrain.launch.history import attempts_of
from codepretrain.launch.status import JobStatus
from codepretrain.launch.status_terminal import shown_hosts
from codepretrain.launch.step_plot import MARKS, step_plot

REFRESH_S = 5
_MAX_HOSTS = 64


def render(status: JobStatus, events: Sequence[Event], *, written_s: float, refreshes: bool) -> str:
    """Returns the page's HTML.

    Args:
      written_s: UTC in seconds.
      refreshes: whether a browser is to read the page again every few seconds.
    """
    attempts = list(attempts_of(events).values())
    causes = {a.cause for a in attempts if a.cause is not None}
    shown = shown_hosts(status.hosts, _MAX_HOSTS)
    return (
        _environment()
        .get_template("status_page.html")
        .render(
            status=status,
            w=wording,
            written_at=utc(written_s)[:19].replace("T", " "),
            refresh_s=REFRESH_S if refreshes else None,
            plot=Markup(step_plot(status, attempts)),
            marks={cause: mark for cause, mark in MARKS.items() if cause in causes},
            hosts=shown,
            num_left=len(status.hosts) - len(shown),
            has_hosts=not status.is_over and any(h.state != "absent" for h in status.hosts),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("codepretrain.launch", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
