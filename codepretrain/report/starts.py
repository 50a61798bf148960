"""The environment of each start of each run, and differences between the starts of one run."""

from collections.abc import Mapping
from typing import Any

from codepretrain.report.collect import RunResults, StudyResults

# These fields differ between starts and do not change results.
_EXPECTED = {"start", "started_at", "purpose", "command", "host"}
_ABSENT = "none"


def start_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Returns one row per start; a run that has two names in the study is listed once."""
    runs = {run.plan.run_dir: run for run in results.runs.values() if run.starts}
    return [row for run in runs.values() for row in _rows(run)]


def _rows(run: RunResults) -> list[dict[str, Any]]:
    steps = {s["session"]: f"{s['first_step']:,} – {s['last_step']:,}" for s in run.sessions}
    first = _fields(run.starts[0])
    return [
        {
            "run": run.name,
            "start": start.get("start", number),
            "started_at": str(start.get("started_at", ""))[:16].replace("T", " "),
            "purpose": start.get("purpose", ""),
            "steps": steps.get(start.get("start"), ""),
            "machine": _machine(start),
            "differences": _differences(first, _fields(start)),
        }
        for number, start in enumerate(run.starts)
    ]


def _machine(start: Mapping[str, Any]) -> str:
    devices = f"{start.get('num_devices', '?')} × {start.get('device_kind', '?')}"
    version = start.get("packages", {}).get("jax", "?")
    return f"{devices}, jax {version}, code {start.get('code_version', '?')}"


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (field, value at the first start, value now) of each field that differs."""
    return [
        (name, str(first.get(name, _ABSENT)), str(other.get(name, _ABSENT)))
        for name in sorted({*first, *other})
        if first.get(name, _ABSENT) != other.get(name, _ABSENT)
    ]


def _fields(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of a record by dotted name, without those that usually differ."""
    fields: dict[str, Any] = {}
    for name, value in record.items():
        if not prefix and name in _EXPECTED:
            continue
        if isinstance(value, Mapping):
            fields |= _fields(value, f"{prefix}{name}.")
        else:
            fields[f"{prefix}{name}"] = value
    return fields
