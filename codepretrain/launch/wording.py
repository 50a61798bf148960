"""Numbers, times and failures of a job in words, for the terminal and the page."""

import itertools
from collections.abc import Mapping

from codepretrain.launch.host_status import HostStatus
from codepretrain.launch.status import StageStatus

NOTHING = "–"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def duration(seconds: float | None) -> str:
    """Returns seconds in the two largest units.

    >>> duration(7.4), duration(3725.0), duration(200_000.0), duration(None)
    ('7s', '1h 2m', '2d 7h', '–')
    """
    if seconds is None:
        return NOTHING
    left = round(seconds)
    for (size, unit), (smaller, name) in itertools.pairwise(_UNITS):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size}{unit}" + (f" {rest}{name}" if rest else "")
    return f"{left}s"


def clock(time: str | None) -> str:
    """Returns an event's time, in UTC, to the second.

    >>> clock("2026-11-27T02:00:00.125+00:00")
    '11-27 02:00:00'
    """
    return NOTHING if time is None else time[5:19].replace("T", " ")


def large(number: float | None) -> str:
    """Returns a large number with three digits.

    >>> large(1_234_567), large(12), large(None)
    ('1.23M', '12', '–')
    """
    if number is None:
        return NOTHING
    for size, unit in _LARGE:
        if number >= size:
            digits = max(0, 2 - len(str(int(number / size))) + 1)
            return f"{number / size:.{digits}f}{unit}"
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    """Returns a share in percent.

    >>> percent(0.4213), percent(0.0004), percent(None)
    ('42.1%', '0.04%', '–')
    """
    if share is None:
        return NOTHING
    return f"{100 * share:.1f}%" if share >= 0.001 or share == 0 else f"{100 * share:.2g}%"


def hours(chip_hours: float | None) -> str:
    """Returns chip-hours.

    >>> hours(0.0123), hours(1234.5), hours(None)
    ('0.012', '1,234.5', '–')
    """
    if chip_hours is None:
        return NOTHING
    return f"{chip_hours:,.1f}" if chip_hours >= 10 else f"{chip_hours:.3f}"


def price(value: float | None) -> str:
    """Returns a price, in the currency of `config.cost.price_per_chip_hour`."""
    return NOTHING if value is None else f"{value:,.2f}"


def steps(stage: StageStatus) -> str:
    """Returns how far a stage has come, such as "1,200/95,367"."""
    if stage.step is None and stage.num_steps is None:
        return NOTHING
    total = "" if stage.num_steps is None else f"/{stage.num_steps:,}"
    return f"{0 if stage.step is None else stage.step:,}{total}"


def step_time(seconds: float | None) -> str:
    """Returns the time of a step.

    >>> step_time(0.01234), step_time(None)
    ('0.0123 s', '–')
    """
    return NOTHING if seconds is None else f"{seconds:.3g} s"


def failures(found: Mapping[str, int]) -> str:
    """Returns how attempts ended, such as "2 × preemption, 1 × hang"."""
    return ", ".join(f"{number} × {cause.replace('_', ' ')}" for cause, number in found.items())


def seen(host: HostStatus, observed_s: float) -> str:
    """Returns when a host was last seen to be alive."""
    if host.state == "absent":
        return "never"
    if host.seen_s is None:
        return f"not in {duration(observed_s)}" if observed_s else "?"
    return "now" if host.seen_s < 3.0 else f"{duration(host.seen_s)} ago"


def behind(host: HostStatus) -> str:
    """Returns the mark of a host that is behind, empty for others."""
    return "behind" if host.is_behind else ""
