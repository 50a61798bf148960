"""Prints a pod plan: memory, FLOPs, traffic, bounds and cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from codepretrain.hardware.mesh_axes import AXES
from codepretrain.large_numbers import spell_tokens

_GIB = 2**30


def print_step(console: Console, plan: Mapping[str, Any]) -> None:
    """Prints what `compiled_step.plan_step` returned."""
    _line(console, "")
    _line(console, f"[bold]{spell_pod(plan)}[/bold], mesh {spell_mesh(plan)}")
    _line(
        console,
        f"batch {plan['batch_size']} × {plan['max_seq_len']} in {plan['num_microbatches']} "
        f"micro-batch{'es' if plan['num_microbatches'] > 1 else ''}, remat "
        f"{plan['remat_policy']}, attention {plan['attention_kernel']}; per chip and step:",
    )
    memory = plan["memory"]
    if not plan["fits"]:
        _line(
            console,
            f"  [bold]does not fit[/bold]: {gib(memory['total'])} of {gib(memory['hbm'])} HBM "
            f"({gib(memory['arguments'])} parameters, moments and batch), "
            f"{gib(memory['missing'])} too much",
        )
        return
    lines = [
        f"memory   {gib(memory['total'])} of {gib(memory['hbm'])} HBM "
        f"({gib(memory['free'])} free): arguments {gib(memory['arguments'])}, outputs "
        f"{gib(memory['outputs'])} (of which in place {gib(memory['aliased'])}), temporaries "
        f"{gib(memory['temporaries'])}, code {gib(memory['generated_code'])}; "
        f"peak {gib(memory['peak'])}",
        _spell_flops(plan["flops"]),
        f"HBM      {three_digits(plan['hbm_traffic'] / 1e9)} GB read and written",
    ]
    for line in lines:
        _line(console, "  " + line)
    table = _traffic(plan["collectives"])
    if table.row_count:
        console.print(table)
    bound = plan["bound_s"]
    names = ("compute", "hbm", "ici", "dcn")
    parts = ", ".join(f"{name} {three_digits(bound[name])} s" for name in names)
    _line(console, f"  lower bounds of a step: {parts}")
    _line(
        console,
        f"  a step takes at least {three_digits(bound['step'])} s ({plan['bound_by']}): MFU at "
        f"most {plan['bound_mfu']:.1%}, {plan['bound_tokens_per_s_per_chip']:,.0f} tokens/s/chip "
        "at most; a bound, not a forecast",
    )


def print_cost(console: Console, cost: Mapping[str, Any]) -> None:
    """Prints what `cost.study_cost` returned."""
    priced = cost["price_per_chip_hour"] is not None
    table = Table(title=f"cost at an assumed MFU of {100 * cost['mfu']:.3g}%", title_justify="left")
    for name in (
        *("phase", "runs", "tokens", "chip-hours", "hours on this pod"),
        *(["price"] * priced),
    ):
        table.add_column(name, justify="left" if name == "phase" else "right")
    rows = _by_phase(cost["phases"])
    for name, num_runs, row in [*rows, ("all", len(cost["phases"]), cost["total"])]:
        cells = [name, f"{num_runs}", spell_tokens(row["tokens"])]
        cells += [three_digits(row[key]) for key in ("chip_hours", "pod_hours")]
        table.add_row(*cells, *([three_digits(row["price"])] if priced else []))
    console.print(table)
    for entry in cost["calibration"]:
        then = entry["study_chip_hours"]
        _line(
            console,
            f"published: {entry['published']} in {entry['chip_hours']:,} {entry['chip']} "
            f"chip-hours, an MFU of {entry['implied_mfu']:.1%}"
            + (f"; this study at that MFU: {three_digits(then)} chip-hours" if then else ""),
        )


def _by_phase(
    runs: Mapping[str, Mapping[str, Any]],
) -> list[tuple[str, int, Mapping[str, Any]]]:
    """Returns a phase, its number of replicates, and the sums over them, in order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name, row in runs.items():
        # No phase's name has a hyphen: what follows it is the replicate's number.
        found.setdefault(name.partition("-")[0], []).append(row)
    return [
        (
            name,
            len(rows),
            {
                key: None if value is None else sum(row[key] for row in rows)
                for key, value in rows[0].items()
            },
        )
        for name, rows in found.items()
    ]


def print_search(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """Prints the candidates of a search: those that fit, best bound first, then the others."""
    table = Table(
        title="candidates that fit, best bound first; bounds are not forecasts",
        caption=f"mesh: {' × '.join(AXES)}; micro: micro-batches; FLOPs: compiled ÷ the model's",
        box=None,
        padding=(0, 1),
    )
    names = ("mesh", "micro", "remat", "GiB", "FLOPs", "bound s", "MFU ≤", "by")
    for name in names:
        is_text = name in (names[0], "remat", "by")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=name != "by")
    for plan in found:
        sizes = " × ".join(str(size) for size in plan["mesh"].values())
        settings = [sizes, str(plan["num_microbatches"]), plan["remat_policy"]]
        if plan.get("fits"):
            table.add_row(
                *settings,
                f"{plan['memory']['total'] / _GIB:.2f}",
                f"{plan['flops']['recomputation']:.2f}",
                three_digits(plan["bound_s"]["step"]),
                f"{plan['bound_mfu']:.1%}",
                plan["bound_by"],
            )
        else:
            reason = plan.get("error") or f"{gib(plan['memory']['missing'])} too much"
            table.add_row(*settings, "no", "", "", "", reason)
    console.print(table)


def spell_pod(plan: Mapping[str, Any]) -> str:
    """Returns "2 × v5e:16x16 (512 chips, 128 hosts)"."""
    slices = f"{plan['num_slices']} × " if plan["num_slices"] > 1 else ""
    hosts = f"{plan['num_hosts']} host{'s' if plan['num_hosts'] > 1 else ''}"
    return f"{slices}{plan['topology']} ({plan['num_chips']} chips, {hosts})"


def spell_mesh(plan: Mapping[str, Any]) -> str:
    """Returns "data 8 × fsdp 32"; axes of size 1 are omitted."""
    sizes = [f"{axis} {size}" for axis, size in plan["mesh"].items() if size != 1]
    return " × ".join(sizes) or "one chip"


def three_digits(value: float) -> str:
    """Returns a number with three significant digits, whole ones in full: "0.00528", "1,234"."""
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(float(f"{abs(value):.2e}"))))
    return f"{value:,.{digits}f}"


def gib(number: float) -> str:
    """Returns bytes as "15.75 GiB"."""
    return f"{number / _GIB:.2f} GiB"


def _spell_flops(flops: Mapping[str, Any]) -> str:
    by_formula = flops["attention_by_formula"]
    return (
        f"FLOPs    {three_digits(flops['compiled'] / 1e12)} T compiled, "
        f"{three_digits(flops['model'] / 1e12)} T by "
        f"the model's formula: {flops['recomputation']:.2f} times"
        + (
            f" (attention kernels, {three_digits(by_formula / 1e12)} T, by formula)"
            if by_formula
            else ""
        )
    )


def _traffic(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for name in ("collective", "axes", "runs", "GB in slice", "GB to others"):
        table.add_column(
            name, justify="left" if name in ("collective", "axes") else "right", no_wrap=True
        )
    for row in rows:
        if row["ici"] + row["dcn"] >= 1e6:
            table.add_row(
                row["kind"],
                row["axes"],
                f"{row['executions']:,}",
                f"{row['ici'] / 1e9:,.3f}",
                f"{row['dcn'] / 1e9:,.3f}" if row["dcn"] else "",
            )
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)
