"""The `plan` command: a study's phases, and its step on a target pod (no hardware needed)."""

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console

from codepretrain.cli.environment import import_jax
from codepretrain.cli.flags import is_given, whole_number
from codepretrain.cli.output import print_json
from codepretrain.cli.plan_power import add_power_flags, check_power_flags, chip_of, plan_power
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.registry import missing_data

if TYPE_CHECKING:
    from codepretrain.data.reading.corpora import Corpus
    from codepretrain.hardware.chips import Chip
    from codepretrain.podplan.topology import Topology


def add_plan_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command and its flags to the command line."""
    plan = add(
        "plan",
        _plan,
        "show the study's phases; needs no data and trains nothing",
        takes_several_studies=True,
    )
    plan.add_argument("--json", action="store_true", help="print JSON")
    add_power_flags(plan)
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
    configs = [config, *flags.others]
    if len(configs) > 1:
        for name, value in (("--search", flags.search), ("--run-sd", flags.run_sd)):
            if value:
                raise UserError(f"{name}: expected one --config file, got {len(configs)}")
    topology = _topology(flags)
    chip = chip_of(topology.chip.name if topology else None)
    check_power_flags(config, flags)
    plans = [_plan_study(one, flags, chip) for one in configs]
    printed: dict[str, Any] = plans[0]
    if topology is not None:
        _plan_pods(configs, plans, flags, argv, topology)
    if len(configs) > 1:
        printed = {"plans": plans, "together": _plan_together(configs, plans, flags, chip)}
    if flags.json:
        print_json(printed)
    return 0


def _plan_study(config: StudyConfig, flags: argparse.Namespace, chip: "Chip") -> dict[str, Any]:
    """Returns the plan of one study, and prints it unless JSON is asked for."""
    from codepretrain.data.reading.corpora import find_corpora, missing_benchmarks
    from codepretrain.study.describe import describe
    from codepretrain.study.describe_text import print_plan
    from codepretrain.study.power_text import print_power
    from codepretrain.study.workspace import Workspace

    workspace = Workspace(config, flags.workdir)
    workspace.check_caps()
    plan = describe(
        config,
        workspace.phases,
        source_sizes=workspace.source_sizes,
        imports=workspace.imports,
    )
    corpora = find_corpora(config)
    plan["raw_files"] = {
        corpus.source: {"files": corpus.num_files, "problem": corpus.problem} for corpus in corpora
    }
    plan["missing_benchmarks"] = missing_benchmarks(config)
    plan["missing_task_data"] = missing_data(config)
    if flags.power:
        plan["power"] = plan_power(workspace, flags, chip)
    if not flags.json:
        console = Console()
        print_plan(console, plan)
        _print_corpora(console, corpora, plan["missing_benchmarks"])
        for problem in plan["missing_task_data"]:
            console.print(f"evaluations: {problem}", markup=False, highlight=False, soft_wrap=True)
        if flags.power:
            print_power(console, plan["power"])
    return plan


def _plan_together(
    configs: "list[StudyConfig]",
    plans: list[dict[str, Any]],
    flags: argparse.Namespace,
    chip: "Chip",
) -> dict[str, Any]:
    from codepretrain.podplan.cost import chip_hours
    from codepretrain.study.shared_phases import describe_shared, print_shared

    hours = [
        chip_hours(1, model=one.model, seq_len=one.data.max_seq_len, chip=chip, mfu=one.cost.mfu)
        for one in configs
    ]
    together = describe_shared(plans, hours)
    if not flags.json:
        print_shared(Console(), together, chip=chip.name)
    return together


def _print_corpora(console: Console, corpora: "list[Corpus]", benchmarks: list[str]) -> None:
    missing = [corpus for corpus in corpora if corpus.problem is not None]
    found = ", ".join(f"{c.source} {c.num_files:,}" for c in corpora if c.problem is None)
    lines = [f"raw files: {found or 'none'}"]
    if missing or benchmarks:
        lines.append("what keeps `codepretrain prepare` from running:")
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
        if is_given(flags, "max_compiles"):
            raise UserError("--max-compiles: expected a --topology with it")
        return None
    topology = parse_topology(flags.topology, num_slices=flags.slices)
    check_compiler()
    return topology


def _plan_pods(
    configs: "list[StudyConfig]",
    plans: list[dict[str, Any]],
    flags: argparse.Namespace,
    argv: list[str],
    topology: "Topology",
) -> None:
    """Adds `pod` to the plan of every study. A step that several studies have is compiled once."""
    os.environ.update(topology.environment)  # libtpu reads it when it is loaded
    # Does not use a TPU or GPU of this machine.
    import_jax().config.update("jax_platforms", "cpu")
    from codepretrain.podplan.plan_pod import CompiledSteps, plan_pod

    steps = CompiledSteps()
    for config, plan, file in zip(configs, plans, flags.config, strict=True):
        plan["pod"] = plan_pod(
            config,
            topology,
            {phase["name"]: phase["tokens"] for phase in plan["phases"]},
            command=_command_of(file, argv, flags.config),
            max_compiles=flags.max_compiles,
            searches=flags.search,
            prints=not flags.json,
            steps=steps,
        )


def _command_of(file: str, argv: list[str], files: list[str]) -> list[str]:
    """Returns the arguments that plan the study of one file as JSON, without a search."""
    left_out = {"--search", "--json", "--config", *files, *(f"--config={one}" for one in files)}
    rest = [argument for argument in argv[1:] if argument not in left_out]
    return ["plan", "--config", file, *rest, "--json"]
