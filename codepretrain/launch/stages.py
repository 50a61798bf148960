"""The stages of a job, from the plan of a study.

Preparation, each phase, the evaluations if they have a slice of their own, and the report.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.launch.job import Stage
from codepretrain.launch.load_machine import slice_of
from codepretrain.launch.machine import LaunchConfig
from codepretrain.podplan.cost import study_cost

PREPARE, EVALUATE, REPORT = "prepare", "evaluate", "report"


def phases_to_train(
    plan: Mapping[str, Any], only: Collection[str], *, finished: Collection[str] = ()
) -> list[Mapping[str, Any]]:
    """Returns the phases that a job trains, parents first: those of `only` and their ancestors.

    Args:
      plan: what `codepretrain plan --json` prints; phases with one fingerprint are one entry.
      only: names of phases; all for none.
      finished: phases with nothing left to do, which are left out.
    """
    known = {name: p for p in plan["phases"] for name in (p["name"], *p["aliases"])}
    wanted: set[str] = set()
    waiting = list(only) or [phase["name"] for phase in plan["phases"]]
    while waiting:
        phase = known[waiting.pop()]
        if phase["name"] not in wanted:
            wanted.add(phase["name"])
            waiting += phase["parents"]
    wanted -= set(finished)
    return [phase for phase in plan["phases"] if phase["name"] in wanted]


def make_stages(
    study: StudyConfig,
    launch: LaunchConfig,
    phases: Sequence[Mapping[str, Any]],
    *,
    where: Sequence[str],
    prepares: bool,
    reports: bool,
    evaluates_apart: bool = False,
) -> tuple[Stage, ...]:
    """Returns the stages of a job.

    Args:
      where: the arguments that give the study and the working directory.
      prepares: whether the job prepares the data, which the phases wait for.
      reports: whether it ends with a report.
      evaluates_apart: whether evaluations have a slice of their own, and do not run in the loop.
    """
    hours = expected_chip_hours(study, launch, phases)
    in_loop = ("--no-evaluations",) if evaluates_apart else ()
    names = [word for phase in phases for word in ("--phase", phase["name"])]
    there = {phase["name"] for phase in phases}
    prepare = [Stage(name=PREPARE, arguments=("prepare", *where), is_single=True)]
    trained = [
        Stage(
            name=_name(phase["name"]),
            phase=phase["name"],
            parents=(
                *(_name(parent) for parent in phase["parents"] if parent in there),
                *((PREPARE,) if prepares and not there.intersection(phase["parents"]) else ()),
            ),
            fingerprint=phase["fingerprint"],
            tokens=phase["tokens"],
            num_steps=phase["steps"],
            expected_chip_hours=hours.get(phase["name"]),
            arguments=("train", *where, "--phase", phase["name"], *in_loop, *_devices(launch)),
            batch_size=study.training.batch_size,
            num_microbatches=study.execution.num_microbatches,
            mesh=study.execution.mesh,
        )
        for phase in phases
    ]
    evaluate = Stage(
        name=EVALUATE,
        parents=(PREPARE,) if prepares else (),
        arguments=("evaluate", *where, "--watch", *names, *_devices(launch)),
        is_evaluation=True,
        mesh=study.execution.mesh,
    )
    evaluated = (evaluate,) if evaluates_apart else ()
    report = Stage(
        name=REPORT,
        parents=tuple(stage.name for stage in (*trained, *evaluated)),
        arguments=("report", *where),
        is_single=True,
    )
    return (*(prepare if prepares else ()), *trained, *evaluated, *((report,) if reports else ()))


def expected_chip_hours(
    study: StudyConfig, launch: LaunchConfig, phases: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Returns the chip-hours of each phase at `config.cost.mfu`; none on CPU devices."""
    found = slice_of(launch.machine)
    if found is None:
        return {}
    cost = study_cost(
        study,
        {phase["name"]: phase["tokens"] for phase in phases},
        chip=found.chip,
        num_chips=found.num_chips,
    )
    return {name: row["chip_hours"] for name, row in cost["phases"].items()}


def _name(phase: str) -> str:
    return f"train.{phase}"


def _devices(launch: LaunchConfig) -> tuple[str, ...]:
    machine = launch.machine
    return (f"--cpu-devices={machine.cpu_devices}",) if machine.kind == "local" else ()
