"""Contrasts that were not registered before the results of their variants, as text."""

from collections.abc import Sequence

from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.wording import listed

_AFTER = "added or changed after the results"


def not_registered(results: Sequence[ContrastResult]) -> str:
    """Returns a warning that names the contrasts whose results were known; "" without any."""
    after, unknown = (
        [f"“{one.name.replace('_', ' ')}”" for one in results if one.registered == kind]
        for kind in ("after", "unknown")
    )
    return " ".join(filter(None, (_after(after), _unknown(unknown))))


def suffix(one: ContrastResult) -> str:
    """Returns what a hypothesis is followed by: "" where it was registered before the results."""
    return f"; {_AFTER}" if one.registered == "after" else ""


def counted(results: Sequence[ContrastResult], what: str) -> str:
    """Returns "3 registered contrasts", or also how many of them are not."""
    num_after = sum(one.registered == "after" for one in results)
    if not num_after:
        return f"{len(results)} registered {what}"
    return f"{len(results)} {what}, {num_after} of them {_AFTER}"


def _after(names: Sequence[str]) -> str:
    if not names:
        return ""
    verb, whose = ("was", "its") if len(names) == 1 else ("were", "their")
    return (
        f"Not registered: {listed(names)} {verb} {_AFTER} of {whose} variants were there. What is "
        "decided of that is no confirmation: it suggests what to test with new runs."
    )


def _unknown(names: Sequence[str]) -> str:
    if not names:
        return ""
    verb = "was" if len(names) == 1 else "were"
    return (
        f"Whether {listed(names)} {verb} registered before the runs is not known: this working "
        "directory did not record it then."
    )
