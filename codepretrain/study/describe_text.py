"""`codepretrain plan` in the terminal: what `study/describe.py` describes."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from codepretrain.large_numbers import spell_tokens
from codepretrain.study.power_text import replication_lines
from codepretrain.study.replicates import replicate_name

_MAX_MEMBERS = 6  # of an average, in a line


def print_plan(console: Console, plan: Mapping[str, Any]) -> None:
    """Prints two or three lines per phase, then the variants."""
    console.print(f"study {plan['study']}", style="bold")
    for phase in plan["phases"]:
        if phase["replicate"]:
            continue
        also = f" (also {', '.join(phase['aliases'])})" if phase["aliases"] else ""
        lines = [
            f"\n{phase['name']}{also}  {phase['fingerprint'][:12]}"
            + ("?" if phase["fingerprint_is_provisional"] else ""),
            *_spell_replicates(plan["phases"], phase["name"]),
            *(_spell_average(phase) if phase["members"] else _spell_training(phase)),
        ]
        console.print("\n".join(lines), soft_wrap=True, highlight=False)
    first = plan["phases"][0]
    console.print(
        f"\n{first['parameters']:,} parameters ({first['parameters_non_embedding']:,} without "
        f"embeddings), {first['flops_per_token'] / 1e6:,.1f} MFLOPs per token "
        f"(forward and backward) in every phase",
        soft_wrap=True,
        highlight=False,
    )
    for line in _rounded([phase for phase in plan["phases"] if not phase["replicate"]]):
        console.print(line, soft_wrap=True)
    unread = [name for name in plan["unread_sources"] if name not in plan["held_out_sources"]]
    for what, names in (
        ("that no mixture reads", unread),
        ("held out as a whole", plan["held_out_sources"]),
    ):
        if names:
            console.print(f"sources {what}: {', '.join(names)}", soft_wrap=True)
    if any(p["fingerprint_is_provisional"] for p in plan["phases"]):
        console.print(
            "? provisional fingerprint: it changes when rows are prepared or models imported",
            soft_wrap=True,
        )
    for variant, path in plan["variants"].items():
        spelled = _spell_path(path, plan["phases"])
        console.print(f"variant {variant}: {spelled}", soft_wrap=True, highlight=False)
    _print_replicates(console, plan)
    for line in [*plan["shared_seeds"], *replication_lines(plan["contrasts"])]:
        console.print(line, soft_wrap=True, highlight=False)


def _spell_replicates(phases: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Returns a line with the fingerprints of a phase in the other replicates, if there are any."""
    others = [
        f"{phase['name']}  {phase['fingerprint'][:12]}"
        for phase in phases
        if phase["replicate"] and phase["name"] == replicate_name(name, phase["replicate"])
    ]
    return [f"  with other seeds: {', '.join(others)}"] if others else []


def _print_replicates(console: Console, plan: Mapping[str, Any]) -> None:
    """Prints how many replicates there are, which phases they share, and what they cost."""
    counts = {variant: len(paths) for variant, paths in plan["replicates"].items()}
    if max(counts.values()) == 1:
        return
    spelled = ", ".join(f"{variant} {count}" for variant, count in counts.items())
    console.print(f"replicates: {spelled}", soft_wrap=True, highlight=False)
    sharing: dict[str, list[str]] = {}
    for variant, paths in plan["replicates"].items():
        shared = [name for name in paths[0] if sum(name in path for path in paths) > 1]
        if shared:
            sharing.setdefault(", ".join(shared), []).append(variant)
    for shared_phases, variants in sharing.items():
        console.print(
            f"  the replicates of {', '.join(variants)} share {shared_phases}: they are not "
            "independent of one another",
            soft_wrap=True,
            highlight=False,
        )
    once, tokens = plan["tokens_of_one_replicate"], sum(p["tokens"] for p in plan["phases"])
    console.print(
        f"  {spell_tokens(tokens)} tokens in all, {spell_tokens(once)} in the first replicate "
        f"({tokens / once:.2f}×)",
        soft_wrap=True,
        highlight=False,
    )


def _rounded(phases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line about the budgets, and one about the branch points, that were rounded."""
    lines = []
    for what, tokens in (("budgets", "tokens"), ("branch points", "parent_tokens")):
        off = {
            phase["name"]: phase[tokens] - phase[f"requested_{tokens}"]
            for phase in phases
            if phase[f"requested_{tokens}"] is not None
        }
        spelled = ", ".join(f"{name} {rest:+,}" for name, rest in off.items() if rest)
        if spelled:
            lines.append(f"{what} rounded to whole steps (tokens): {spelled}")
    return lines


def _spell_training(phase: Mapping[str, Any]) -> list[str]:
    rate = phase["learning_rate"]
    is_again = phase["data_order"] == "restart" and phase["parent"] is not None
    again = ", each source from its beginning" if is_again else ""
    return [
        f"  {_spell_parent(phase)}{again}, {phase['steps']:,} steps, "
        f"{spell_tokens(phase['tokens'])} tokens, learning rate "
        f"{rate['start']:.3g} → {rate['peak']:.3g} → {rate['end']:.3g}"
        + (f" after {rate['warmup_steps']:,} warm-up steps" if rate["warmup_steps"] else ""),
        f"  {_spell_sources(phase)}",
    ]


def _spell_average(phase: Mapping[str, Any]) -> list[str]:
    """Returns a line with the checkpoints that are averaged; of many, the first and last ones."""
    members = [f"{m['weight']:.4g} {m['phase']}@{m['step']:,}" for m in phase["members"]]
    if len(members) > _MAX_MEMBERS:
        members[_MAX_MEMBERS // 2 : -(_MAX_MEMBERS // 2)] = ["…"]
    return [f"  average of {len(phase['members']):,} checkpoints: {' + '.join(members)}"]


def _spell_path(path: Sequence[str], phases: Sequence[Mapping[str, Any]]) -> str:
    """Returns the phases of a path in order, with an arrow from each to one that starts from it."""
    parents = {phase["name"]: phase["parents"] for phase in phases}
    spelled = path[0]
    for before, name in itertools.pairwise(path):
        spelled += f" → {name}" if before in parents[name] else f", {name}"
    return spelled


def _spell_parent(phase: Mapping[str, Any]) -> str:
    if phase["initial_checkpoint"] is not None:
        return f"from imported {phase['initial_checkpoint']}"
    if phase["parent"] is None:
        return "from random parameters"
    place = "its end" if phase["parent_is_at_its_end"] else f"step {phase['parent_step']:,}"
    return f"from {phase['parent']} at {place}"


def _spell_sources(phase: Mapping[str, Any]) -> str:
    spelled = []
    for source, tokens in phase["tokens_per_source"].items():
        epochs = phase["epochs_per_source"][source]
        at_end = phase["epochs_at_end"][source]
        count = "? epochs" if epochs is None else f"{epochs:.2f} epochs"
        path = "" if at_end == epochs else f", {at_end:.2f} with its ancestors"
        spelled.append(f"{source} {spell_tokens(tokens)} ({count}{path})")
    return ", ".join(spelled)
