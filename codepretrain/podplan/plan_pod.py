"""What `codepretrain plan --topology` does: one plan in this process, a search in others.

A search compiles each candidate in a process of its own: the compiler cannot be interrupted, but a
process can be ended; and what one compilation leaves in memory goes with it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.podplan.compiled_step import check_fits_batch, plan_step
from codepretrain.podplan.cost import study_cost
from codepretrain.podplan.report import print_cost, print_search, print_step, spell_mesh
from codepretrain.podplan.search import Candidate, candidates, ranked, search
from codepretrain.podplan.topology import Topology
from codepretrain.study.graph import Phase

_MAX_ALTERNATIVES = 3  # compilations to find out what would fit where the plan does not


def plan_pod(
    config: StudyConfig,
    topology: Topology,
    phases: Sequence[Phase],
    *,
    command: Sequence[str],
    max_compiles: int,
    searches: bool,
    prints: bool,
) -> dict[str, Any]:
    """Returns the plan of a study on a pod; prints it as it goes along, if asked to.

    phases: those to train. command: the arguments that make this plan as JSON, for other processes.

    Raises:
      UserError: no compiler, no such pod, or the study does not divide over it.
      KeyboardInterrupt: after what a search had found was printed.
    """
    console = Console(quiet=not prints)
    check_fits_batch(config, topology)
    result: dict[str, Any] = {
        "cost": study_cost(config, phases, chip=topology.chip, num_chips=topology.num_chips)
    }
    if searches:
        wanted = candidates(config, topology)
        result["search"] = _search(wanted, command, console, max_compiles=max_compiles)
    else:
        result["step"] = step = plan_step(config, topology)
        print_step(console, step)
        if not step["fits"] and max_compiles:
            wanted = _leaner(config, topology, step)
            result["would_fit"] = _first_that_fits(wanted, command, console)
    print_cost(console, result["cost"])
    return result


def _leaner(config: StudyConfig, topology: Topology, step: Mapping[str, Any]) -> list[Candidate]:
    """Returns candidates on the plan's own mesh that need less memory than it, the most first."""
    own = [c for c in candidates(config, topology) if c.spell()["mesh"] == step["mesh"]]
    return [
        c
        for c in own
        if (c.num_microbatches, c.remat_policy) != (step["num_microbatches"], step["remat_policy"])
        and c.num_microbatches >= step["num_microbatches"]
    ]


def _first_that_fits(
    wanted: Sequence[Candidate], command: Sequence[str], console: Console
) -> dict[str, Any] | None:
    found = search(wanted, lambda c: _attempt(c, command, console), max_compiles=_MAX_ALTERNATIVES)
    for plan in found:
        if plan.get("fits"):
            console.print(
                f"  this would fit: mesh {spell_mesh(plan)}, {plan['num_microbatches']} "
                f"micro-batches, remat {plan['remat_policy']}:",
                highlight=False,
            )
            print_step(console, plan)
            return plan
    console.print("  nothing leaner on this mesh was found to fit; try --search", highlight=False)
    return None


def _search(
    wanted: Sequence[Candidate], command: Sequence[str], console: Console, *, max_compiles: int
) -> list[dict[str, Any]]:
    plans: list[dict[str, Any]] = []
    try:
        for plan in search(
            wanted, lambda c: _attempt(c, command, console), max_compiles=max_compiles
        ):
            plans.append(plan)
            bound = plan["bound_s"]["step"] if plan.get("fits") else None
            console.print(
                f"{_spell(plan)}: " + (f"fits, ≥ {bound:.3f} s" if bound else "does not fit"),
                highlight=False,
            )
    finally:
        if plans:
            print_search(console, ranked(plans))
    left = len(wanted) - len(plans)
    if len(plans) == max_compiles and left:
        console.print(
            f"{len(plans)} of {len(wanted)} candidates were tried; --max-compiles tries more"
        )
    return ranked(plans)


def _attempt(candidate: Candidate, command: Sequence[str], console: Console) -> dict[str, Any]:
    """Returns a candidate's plan, made in another process, or {"error": what it said}."""
    arguments = [*command, "--max-compiles=0", *candidate.overrides()]
    with console.status(f"compiling {_spell(candidate.spell())} …"):
        done = subprocess.run(
            [sys.executable, "-m", "codepretrain", *arguments],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return {"fits": False, "error": said[-1] if said else f"ended with {done.returncode}"}
    return json.loads(done.stdout)["pod"]["step"]


def _spell(plan: Mapping[str, Any]) -> str:
    number = plan["num_microbatches"]
    return f"{spell_mesh(plan)}, {number} micro-batches, remat {plan['remat_policy']}"
