"""The `plan` command: a study's phases, and the pod that they would run on, without either."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError

if TYPE_CHECKING:
    from codepretrain.study.graph import Phase


def add_plan_command(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    plan = add("plan", _plan, "show the study's phases without data and without training")
    plan.add_argument("--json", action="store_true", help="print JSON")
    group = plan.add_argument_group("a pod, which need not be here (needs the extra `tpu`)")
    group.add_argument("--topology", metavar="CHIP:AxB", help="compile for it, as v5e:16x16")
    group.add_argument(
        "--slices", type=whole_number(1, 1024), default=1, help="so many of them (default: 1)"
    )
    group.add_argument(
        "--search", action="store_true", help="try meshes, micro-batches and remat policies"
    )
    group.add_argument(
        "--max-compiles",
        type=whole_number(1),
        default=12,
        help="the most that a search tries (default: 12)",
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
        trained = [phases[phase["name"]] for phase in plan["phases"]]
        plan["pod"] = _plan_pod(config, flags, argv, trained)
    elif flags.search or flags.slices != 1:
        raise UserError("--search and --slices need a --topology, such as v5e:16x16")
    if flags.json:
        print_json(plan)
    return 0


def _plan_pod(
    config: StudyConfig, flags: argparse.Namespace, argv: list[str], phases: "Sequence[Phase]"
) -> dict[str, Any]:
    from codepretrain.podplan.topology import check_compiler, parse_topology

    topology = parse_topology(flags.topology, num_slices=flags.slices)
    check_compiler()
    os.environ.update(topology.environment)  # read by libtpu when it opens
    import jax

    jax.config.update("jax_platforms", "cpu")  # a TPU or GPU that is here is not touched
    from codepretrain.podplan.plan_pod import plan_pod

    return plan_pod(
        config,
        topology,
        phases,
        command=[*(arg for arg in argv if arg not in ("--search", "--json")), "--json"],
        max_compiles=flags.max_compiles,
        searches=flags.search,
        prints=not flags.json,
    )
