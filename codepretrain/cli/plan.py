"""The `plan` command: a study's phases, and its step on a target pod (no hardware needed)."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from rich.console import Console

from codepretrain.cli.environment import import_jax
from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.registry import missing_data

if TYPE_CHECKING:
    from codepretrain.data.reading.corpora import Corpus
    from codepretrain.podplan.topology import Topology


def add_plan_command(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    plan = add("plan", _plan, "show the study's phases; needs no data and trains nothing")
    plan.add_argument("--json", action="store_true", help="print JSON")
    group = plan.add_argument_group("target pod (no hardware needed; needs the extra `tpu`)")
    group.add_argument(
        "--topology", metavar="CHIP:AxB", help="compile the step for it; example: v5e:16x16"
    )
    group.add_argument(
        "--slices", type=whole_number(1, 1024), default=1, help="number of slices (default: 1)"
    )
    group.add_argument(
        "--search", action="store_true", help="try meshes, micro-batches and remat policies"
    )
    group.add_argument(
        "--max-compiles",
        type=whole_number(1),
        default=12,
        help="compilations of a search, at most (default: 12)",
    )


def _plan(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    topology = _topology(flags)
    from codepretrain.data.reading.corpora import find_corpora, missing_benchmarks
    from codepretrain.study.describe import describe, print_plan
    from codepretrain.study.workspace import Workspace

    workspace = Workspace(config, flags.workdir)
    workspace.check_caps()
    phases = workspace.phases
    plan = describe(config, phases, source_sizes=workspace.source_sizes, imports=workspace.imports)
    corpora = find_corpora(config)
    plan["raw_files"] = {
        corpus.source: {"files": corpus.num_files, "problem": corpus.problem} for corpus in corpora
    }
    plan["missing_benchmarks"] = missing_benchmarks(config)
    plan["missing_task_data"] = missing_data(config)
    if not flags.json:
        console = Console()
        print_plan(console, plan)
        _print_corpora(console, corpora, plan["missing_benchmarks"])
        for problem in plan["missing_task_data"]:
            console.print(f"evaluations: {problem}", markup=False, highlight=False, soft_wrap=True)
    if topology is not None:
        phase_tokens = {name: phases[name].tokens for name in (p["name"] for p in plan["phases"])}
        plan["pod"] = _plan_pod(config, flags, argv, topology, phase_tokens)
    if flags.json:
        print_json(plan)
    return 0


def _print_corpora(console: Console, corpora: "list[Corpus]", benchmarks: list[str]) -> None:
    missing = [corpus for corpus in corpora if corpus.problem is not None]
    found = ", ".join(f"{c.source} {c.num_files:,}" for c in corpora if c.problem is None)
    lines = [f"raw files: {found or 'none'}"]
    if missing or benchmarks:
        lines.append("files that `codepretrain prepare` needs and does not find:")
        lines += [f"  config.data.sources.{c.source}: {c.problem}" for c in missing]
        lines += [f"  {problem}" for problem in benchmarks]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _topology(flags: argparse.Namespace) -> "Topology | None":
    """Returns the target pod, None without one. Raises UserError before anything is printed."""
    from codepretrain.podplan.topology import check_compiler, parse_topology

    if flags.topology is None:
        if flags.search or flags.slices != 1:
            raise UserError("--search and --slices need a --topology, such as v5e:16x16")
        return None
    topology = parse_topology(flags.topology, num_slices=flags.slices)
    check_compiler()
    return topology


def _plan_pod(
    config: StudyConfig,
    flags: argparse.Namespace,
    argv: list[str],
    topology: "Topology",
    phase_tokens: dict[str, int],
) -> dict[str, Any]:
    os.environ.update(topology.environment)  # libtpu reads it when it is loaded
    # Does not use a TPU or GPU of this machine.
    import_jax().config.update("jax_platforms", "cpu")
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
