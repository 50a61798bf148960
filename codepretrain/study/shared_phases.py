"""Several studies in one plan: which phases they share, and what all of them cost together.

Studies of one working directory share the runs of phases with equal fingerprints, so each is
trained once, by whichever study comes first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from codepretrain.large_numbers import spell_tokens


def describe_shared(
    plans: Sequence[Mapping[str, Any]], hours_per_token: Sequence[float]
) -> dict[str, Any]:
    """Returns JSON-ready values about the plans of several studies (`study/describe.py`).

    Args:
      hours_per_token: chip-hours of each study.
    """
    found: dict[str, dict[str, Any]] = {}
    studies: dict[str, dict[str, Any]] = {}
    for plan, hours in zip(plans, hours_per_token, strict=True):
        of_study = {"tokens": 0, "chip_hours": 0.0, "new_tokens": 0, "new_chip_hours": 0.0}
        for phase in plan["phases"]:
            tokens = phase["tokens"]
            values = {"tokens": tokens, "chip_hours": tokens * hours}
            is_new = phase["fingerprint"] not in found
            entry = found.setdefault(phase["fingerprint"], {**values, "names": {}})
            entry["names"][plan["study"]] = phase["name"]
            for name, value in values.items():
                of_study[name] += value
                of_study[f"new_{name}"] += value if is_new else 0
        studies[plan["study"]] = of_study
    return {
        "studies": studies,
        "shared": [
            {"fingerprint": key, **entry} for key, entry in found.items() if len(entry["names"]) > 1
        ],
        "total": {
            name: sum(entry[name] for entry in found.values()) for name in ("tokens", "chip_hours")
        },
    }


def print_shared(console: Console, shared: Mapping[str, Any], *, chip: str) -> None:
    """Prints a line for each shared phase of the studies, one for each study, and the total."""
    studies = shared["studies"]
    lines = [f"\n{len(studies)} studies; chip-hours on {chip} at each study's config.cost.mfu"]
    lines += _shared_lines(shared["shared"])
    if not shared["shared"]:
        lines.append("  no phase is shared: no two have the same fingerprint")
    for study, cost in studies.items():
        saved = cost["chip_hours"] - cost["new_chip_hours"]
        rest = f", of which {saved:,.0f} are shared with studies above" if saved else ""
        lines.append(
            f"  {study}: {spell_tokens(cost['tokens'])} tokens, "
            f"{cost['chip_hours']:,.0f} chip-hours{rest}"
        )
    apart = sum(cost["chip_hours"] for cost in studies.values())
    total = shared["total"]
    lines.append(
        f"  together: {spell_tokens(total['tokens'])} tokens, {total['chip_hours']:,.0f} "
        f"chip-hours ({apart:,.0f} apart)"
    )
    for text in lines:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _shared_lines(shared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line for each shared phase; its replicates are one line."""
    tokens: dict[str, list[int]] = {}
    for phase in shared:
        # No name in a study has a hyphen: what follows it is the replicate's number.
        where = [f"{study}/{name.partition('-')[0]}" for study, name in phase["names"].items()]
        tokens.setdefault(", ".join(where), []).append(phase["tokens"])
    lines = []
    for joined, of in tokens.items():
        replicates = f" × {len(of)} replicates" if len(of) > 1 else ""
        lines.append(f"  shared {spell_tokens(of[0])} tokens{replicates}: {joined}")
    return lines
