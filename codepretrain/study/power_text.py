"""`plan --power` in the terminal: a paragraph for each contrast."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

_NAMED = 4  # of contrasts, in a line
_MANY = 5  # replicates; with fewer, Welch’s test is lenient far out where spreads differ (LOG.md)


def print_power(console: Console, plan: Mapping[str, Any]) -> None:
    """Prints what `power_plan` returns."""
    contrasts = plan["contrasts"]
    lines = [
        f"\npower: the effect that a two-sided test finds with probability {plan['power']:g}",
        f"chip-hours on {plan['chip']} at an MFU of {plan['mfu']:g} (config.cost.mfu): "
        f"{plan['chip_hours']:,.0f} for all phases of the study",
    ]
    if not contrasts:
        lines.append("  config.contrasts is empty: register the contrasts that the study decides")
    elif any(_is_small_family(contrast) for contrast in contrasts.values()):
        lines.append(
            f"families of contrasts are best with {_MANY} replicates: if runs of one recipe vary 5 "
            "times or more as much as those of another, simulations made a false finding in 6 to "
            "8% of families with 3, and in up to 6% with 5, instead of at most 5%"
        )
    for name, contrast in contrasts.items():
        lines += ["", *_contrast_lines(name, contrast)]
    lines += [f"not used: {problem}" for problem in plan.get("problems", ())]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def replication_lines(contrasts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the reasons for which contrasts cannot be about recipes, a line for each reason."""
    found: dict[str, list[str]] = {}
    for name, contrast in contrasts.items():
        few = [variant for variant, count in contrast["replicates"].items() if count < 2]
        if few:
            reason = (
                f"{' and '.join(few)} will have one independent replicate, so checkpoints are "
                "compared and nothing is said about recipes; give config.replicates 3 or more, "
                "with a trunk each"
            )
        elif contrast["is_from_one_checkpoint"]:
            reason = (
                "all runs start from one checkpoint, so the answer is about what follows this "
                "checkpoint, not about recipes with another start"
            )
        else:
            continue
        found.setdefault(reason, []).append(name)
    return [
        f"{_spelled_contrasts(names, of=len(contrasts))}: {reason}"
        for reason, names in found.items()
    ]


def _spelled_contrasts(names: Sequence[str], *, of: int) -> str:
    if len(names) == 1:
        return f"contrast {names[0]}"
    if len(names) == of:
        return f"all {of:,} contrasts"
    return f"{len(names):,} contrasts ({', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)})"


def _contrast_lines(name: str, contrast: Mapping[str, Any]) -> list[str]:
    spell = _speller(contrast["unit"])
    sides = [_spelled_sum(contrast["arms"], sign) for sign in (1, -1)]
    counts = ", ".join(f"{arm} {count}" for arm, count in contrast["replicates"].items())
    correction = (
        f", α = {contrast['alpha']:.3g}: 0.05 over {contrast['num_in_family']} contrasts"
        if contrast["num_in_family"] > 1
        else f", α = {contrast['alpha']:g}"
    )
    return [
        f"contrast {name}: {contrast['metric']} of {sides[0]} − {sides[1]}, "
        f"{contrast['direction']}{correction}",
        f"  runs    {_source(contrast['run_sd'], 'standard deviation', spell)}",
        f"  items   {contrast['num_items']:,}; {_items(contrast, spell)}",
        *_together(contrast),
        *_table(contrast),
        f"  here    {counts}: {_found_here(contrast, spell)}",
        *(f"  {_target(target, contrast, spell)}" for target in contrast["targets"]),
        *(f"  note    {line}" for line in _notes(contrast)),
    ]


def _is_small_family(contrast: Mapping[str, Any]) -> bool:
    least = min(contrast["replicates"].values())
    return bool(contrast["num_in_family"] > 1 and 2 <= least < _MANY)


def _spelled_sum(arms: Mapping[str, float], sign: int) -> str:
    terms = [
        arm if abs(weight) == 1 else f"{abs(weight):.3g}·{arm}"
        for arm, weight in arms.items()
        if weight * sign > 0
    ]
    return f"({' + '.join(terms)})" if len(terms) > 1 else terms[0]


def _source(known: Mapping[str, Any] | None, what: str, spell: Any) -> str:
    if known is None:
        return f"{what} unknown: measure it with finished runs"
    kind = "assumed" if known["is_assumed"] else "measured"
    if known["value"] == 0:
        return f"{what} not seen above the noise of single runs ({kind}: {known['source']})"
    return f"{what} {spell(known['value'])} ({kind}: {known['source']})"


def _items(contrast: Mapping[str, Any], spell: Any) -> str:
    """Returns what is known of the error of the items; for losses nothing is assumed."""
    if contrast["item_error"] is not None:
        return _source(contrast["item_error"], "error of a difference", spell)
    why = (
        "their number is not known"
        if contrast["unit"] == "fraction"
        else f"nothing is assumed of how {contrast['unit']} vary over documents"
    )
    return (
        f"error of a difference unknown and left out, for {why}: what is below is the least that "
        "may be detected, by runs alone; evaluate one finished run of each arm, and plan again"
    )


def _together(contrast: Mapping[str, Any]) -> list[str]:
    """Returns a line for arms that are compared replicate by replicate."""
    sets = contrast["observed_together"]
    if not sets:
        return []
    reason = "they are paired" if contrast["is_paired"] else "they share runs"
    known = contrast["run_correlation"]
    if known is not None:
        kind = "assumed" if known["is_assumed"] else "measured"
        spread = f"with a correlation of {known['value']:.2g} ({kind}: {known['source']})"
    elif contrast["is_paired"]:
        spread = "taken as independent; give run_correlation if you expect them to be alike"
    else:
        spread = (
            "their spread taken as if all of it arose where it weighs most, in the shared runs or "
            "in the last ones; give run_correlation if you know more"
        )
    names = "; ".join(", ".join(members) for members in sets)
    return [f"  sets    {names}: replicate k of these is one observation, for {reason}, {spread}"]


def _table(contrast: Mapping[str, Any]) -> list[str]:
    detectable = contrast["detectable_with"]
    if all(value is None for value in detectable.values()):
        return []
    least = "" if contrast["item_error"] else "≥ "
    cells = [
        (str(n), f"{least}{_number(value, contrast['unit'])}", f"{contrast['chip_hours'][n]:,.0f}")
        for n, value in detectable.items()
    ]
    floor = contrast["floor"]
    cells.append(("∞", "?" if floor is None else _number(floor, contrast["unit"]), ""))
    widths = [max(map(len, cell)) for cell in cells]
    unit = "points" if contrast["unit"] == "fraction" else contrast["unit"]
    names = ("replicates of every arm", f"detectable, {unit}", "chip-hours of these arms")
    rows = zip(*cells, strict=True)
    return [
        f"  {name:<25} "
        + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for name, row in zip(names, rows, strict=True)
    ]


def _found_here(contrast: Mapping[str, Any], spell: Any) -> str:
    if min(contrast["replicates"].values()) < 2:
        return "no effect between recipes, for the spread between runs stays unknown"
    if contrast["detectable"] is None:
        return "unknown without a standard deviation between runs: give one with --run-sd"
    least = "" if contrast["item_error"] else "at least "
    return f"detects {least}{spell(contrast['detectable'])}"


def _target(target: Mapping[str, Any], contrast: Mapping[str, Any], spell: Any) -> str:
    """Returns one line: whether the margin or the published effect is in reach."""
    what = {"margin": "margin", "published_effect": "paper"}[target["what"]]
    finds = "equivalence shown" if target["is_equivalence"] else "found"
    finds = "kept, if nothing changes," if target["is_guard"] else finds
    line = f"{what:<7} {spell(target['effect'])}: "
    if target["is_below_floor"]:
        assumed = " if the items vary as assumed" if contrast["item_error"]["is_assumed"] else ""
        return f"{line}below the floor{assumed}, which no number of replicates lowers: add items"
    if contrast["run_sd"] is None:
        return f"{line}unknown"
    probability, needed = target["probability"], target["num_replicates"]
    reach = "" if probability is None else f"{finds} with probability {probability:.2f} here; "
    if needed is None:
        return f"{line}{reach}not in reach of 40 replicates of every arm"
    if probability is not None and probability >= 0.8:
        return f"{line}in reach, {reach}{needed} replicates of every arm are enough"
    return f"{line}{reach}needs {needed} replicates of every arm"


def _notes(contrast: Mapping[str, Any]) -> list[str]:
    return [line.partition(": ")[2] for line in replication_lines({"": contrast})]


def _speller(unit: str) -> Any:
    """Returns a function that spells a value of a unit; fractions in points."""

    def spell(value: float) -> str:
        return f"{_number(value, unit)} {'points' if unit == 'fraction' else unit}"

    return spell


def _number(value: float, unit: str) -> str:
    return f"{100 * value:.2f}" if unit == "fraction" else f"{value:.3g}"
