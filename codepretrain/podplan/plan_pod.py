"""Runs `codepretrain plan --topology`: one plan in this process, or a search in others.

A search compiles each candidate in a separate process: a compilation cannot be interrupted, but a
process can be killed, and its memory is returned when it ends.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.podplan.compiled_step import check_fits_batch, plan_step
from codepretrain.podplan.cost import study_cost
from codepretrain.podplan.report import (
    print_cost,
    print_search,
    print_step,
    spell_mesh,
    three_digits,
)
from codepretrain.podplan.search import Candidate, candidates, ranked, search
from codepretrain.podplan.topology import Topology, topology_devices

_MAX_ALTERNATIVES = 3  # compilations to find settings that fit, where the configured ones do not


class CompiledSteps:
    """Compiles each distinct step of several studies on one pod once.

    All phases of a study share a step, and so do studies that differ only in their phases.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, dict[str, Any]]] = {}  # settings → (study, plan)

    def study_of(self, config: StudyConfig) -> str | None:
        """Returns the study for which this step was compiled, None if it was not."""
        found = self._found.get(_step_settings(config))
        return found[0] if found else None

    def plan(self, config: StudyConfig, topology: Topology, console: Console) -> dict[str, Any]:
        """Returns `compiled_step.plan_step` of a study."""
        settings = _step_settings(config)
        if settings not in self._found:
            with console.status(f"compiling the step for {topology.name} …"):
                self._found[settings] = config.name, plan_step(config, topology)
        return self._found[settings][1]


def _step_settings(config: StudyConfig) -> str:
    """Returns everything that a step depends on, and a few fields more."""
    parts = (config.model, config.training, config.optimizer, config.execution)
    return repr((*parts, config.data.max_seq_len))


def plan_pod(
    config: StudyConfig,
    topology: Topology,
    phase_tokens: Mapping[str, int],
    *,
    command: Sequence[str],
    max_compiles: int,
    searches: bool,
    prints: bool,
    steps: CompiledSteps,
) -> dict[str, Any]:
    """Returns the plan of a study on a pod, and prints each part as soon as it is done.

    phase_tokens: tokens of each phase to train. command: the arguments with which another process
    makes this plan as JSON. max_compiles: of a search. searches: whether to search for settings.
    prints: whether to print. steps: those of the studies planned before, to which this one's is
    added.

    Raises:
      UserError: the compiler is not installed, it does not know the pod, or the batch or a
        parameter is not divisible over it.
      KeyboardInterrupt: a search was interrupted; its results so far have been printed.
    """
    console = Console(quiet=not prints)
    check_fits_batch(config, topology)
    result: dict[str, Any] = {
        "cost": study_cost(config, phase_tokens, chip=topology.chip, num_chips=topology.num_chips)
    }
    if searches:
        topology_devices(topology)  # before the candidates, each of which would be refused
        wanted = candidates(config, topology)
        if not wanted:
            raise UserError(
                f"config.training.batch_size: no mesh of {topology.name} divides "
                f"{config.training.batch_size:,} rows and the dims of config.model; without "
                "--search, the plan names the dim that is not divisible"
            )
        result["search"] = _search(wanted, command, console, max_compiles=max_compiles)
    else:
        console.print(f"\n[bold]{config.name}[/bold]", highlight=False)
        study = steps.study_of(config)
        result["step"] = step = steps.plan(config, topology, console)
        if study is not None:
            console.print(f"the step of {study}, compiled once", highlight=False)
        else:
            print_step(console, step)
        if not step["fits"] and max_compiles and study is None:
            wanted = _leaner(config, topology, step)
            result["would_fit"] = _first_that_fits(wanted, command, console)
    print_cost(console, result["cost"])
    return result


def _leaner(config: StudyConfig, topology: Topology, step: Mapping[str, Any]) -> list[Candidate]:
    """Returns the candidates on the plan's own mesh that need less memory, the leanest first."""
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
                f"  this fits: mesh {spell_mesh(plan)}, {plan['num_microbatches']} "
                f"micro-batches, remat {plan['remat_policy']}:",
                highlight=False,
            )
            print_step(console, plan)
            return plan
    console.print(
        "  no leaner settings on this mesh were found to fit; try --search", highlight=False
    )
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
                f"{_spell(plan)}: "
                + (f"fits, ≥ {three_digits(bound)} s" if bound else "does not fit"),
                highlight=False,
            )
    finally:
        if plans:
            print_search(console, ranked(plans))
    left = len(wanted) - len(plans)
    if len(plans) == max_compiles and left:
        console.print(
            f"tried {len(plans)} of {len(wanted)} candidates; raise --max-compiles to try more"
        )
    return ranked(plans)


def _attempt(candidate: Candidate, command: Sequence[str], console: Console) -> dict[str, Any]:
    """Returns a candidate's plan from another process, or {"error": its last line on stderr}."""
    arguments = [*command, "--max-compiles=0", *candidate.overrides()]
    with console.status(f"compiling {_spell(candidate.spell())} …"):
        done = subprocess.run(
            [sys.executable, "-m", "codepretrain", *arguments],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"the process ended with exit code {done.returncode}"
        return {"fits": False, "error": reason}
    return json.loads(done.stdout)["pod"]["step"]


def _spell(plan: Mapping[str, Any]) -> str:
    number = plan["num_microbatches"]
    batches = f"{number} micro-batch{'es' if number > 1 else ''}"
    return f"{spell_mesh(plan)}, {batches}, remat {plan['remat_policy']}"
