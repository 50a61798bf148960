"""The `plan` command: a study's phases, and its step on a target pod (no hardware needed)."""

import argparse
import json
import os
from typing import Any

from rich.console import Console

from codepretrain.cli.interop import Add
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError


def add_plan_command(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    plan = add("plan", _plan, "show the study's phases; needs no data and trains nothing")
    plan.add_argument("--json", action="store_true", help="print JSON")
    group = plan.add_argument_group("target pod (no hardware needed; needs the extra `tpu`)")
    group.add_argument(
        "--topology", metavar="CHIP:AxB", help="compile the step for it; example: v5e:16x16"
    )
    group.add_argument("--slices", type=int, default=1, help="number of slices (default: 1)")
    group.add_argument(
        "--search", action="store_true", help="try meshes, micro-batches and remat policies"
    )
    group.add_argument(
        "--max-compiles",
        type=int,
        default=12,
        help="compilations of a search, at most (default: 12)",
    )


def _plan(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.describe import check_caps, describe, print_plan
    from codepretrain.study.graph import resolve
    from codepretrain.study.imports import study_imports
    from codepretrain.study.source_sizes import load_source_sizes

    phases = resolve(config)
    source_sizes = load_source_sizes(config, flags.workdir)
    check_caps(config, phases, source_sizes=source_sizes)
    imports = study_imports(config, flags.workdir)
    plan = describe(config, phases, source_sizes=source_sizes, imports=imports)
    if not flags.json:
        print_plan(Console(), plan)
    if flags.topology is not None:
        phase_tokens = {name: phases[name].tokens for name in (p["name"] for p in plan["phases"])}
        plan["pod"] = _plan_pod(config, flags, argv, phase_tokens)
    elif flags.search or flags.slices != 1:
        raise UserError("--search and --slices need a --topology, such as v5e:16x16")
    if flags.json:
        print(json.dumps(plan, indent=1))
    return 0


def _plan_pod(
    config: StudyConfig, flags: argparse.Namespace, argv: list[str], phase_tokens: dict[str, int]
) -> dict[str, Any]:
    from codepretrain.podplan.topology import check_compiler, parse_topology

    topology = parse_topology(flags.topology, num_slices=flags.slices)
    check_compiler()
    os.environ.update(topology.environment)  # libtpu reads it when it is loaded
    import jax

    jax.config.update("jax_platforms", "cpu")  # leaves a TPU or GPU of this machine alone
    from codepretrain.podplan.plan_pod import plan_pod

    return plan_pod(
        config,
        topology,
        phase_tokens,
        command=[*(arg for arg in argv if arg not in ("--search", "--json")), "--json"],
        max_compiles=flags.max_compiles,
        searches=flags.search,
        prints=not flags.json,
    )
