"""`plan --power`: the flags, and what the working directory says of spreads."""

import argparse
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted
from codepretrain.hardware.chips import CHIPS, Chip

if TYPE_CHECKING:
    from codepretrain.study.spreads import Spread
    from codepretrain.study.workspace import Workspace

DEFAULT_CHIP = "v5e"  # the paper's


def add_power_flags(command: argparse.ArgumentParser) -> None:
    """Adds the flags to the command line."""
    group = command.add_argument_group("power of the registered contrasts (config.contrasts)")
    group.add_argument(
        "--power",
        action="store_true",
        help="the effect that each contrast can find, its floor, and chip-hours",
    )
    group.add_argument(
        "--run-sd",
        action="append",
        default=[],
        metavar="[CONTRAST=]VALUE",
        help="standard deviation of a contrast's metric between runs, in the metric's unit",
    )


def plan_power(workspace: "Workspace", flags: argparse.Namespace, chip: Chip) -> dict[str, Any]:
    """Returns what `study/power.py` plans.

    Raises:
      UserError: --run-sd names no contrast, or is no positive number.
    """
    from codepretrain.files import storage
    from codepretrain.study.item_counts import item_count
    from codepretrain.study.power import Assumptions, power_plan

    config = workspace.config
    problems: list[str] = []
    measured: Mapping[str, Spread] = {}
    if config.contrasts and storage.names(workspace.workdir / "runs"):
        # Imports the report: 2 s that a study without runs does not need.
        from codepretrain.study.measured_spreads import measured_spreads

        measured = measured_spreads(workspace, problems)
    plan = power_plan(
        config,
        workspace.phases,
        workspace.fingerprints,
        Assumptions(
            counts=lambda score: item_count(config, workspace.data_dir, score),
            run_sd=_run_sds(config, flags.run_sd),
            measured=measured,
        ),
        chip=chip,
    )
    return {**plan, "problems": problems}


def chip_of(name: str | None) -> Chip:
    """Returns the chip that chip-hours are of."""
    return CHIPS[name or DEFAULT_CHIP]


def check_power_flags(config: StudyConfig, flags: argparse.Namespace) -> None:
    """Raises UserError for --run-sd without --power, or with values that cannot be used."""
    if flags.run_sd and not flags.power:
        raise UserError("--run-sd is an assumption of --power: give both")
    _run_sds(config, flags.run_sd)


def _run_sds(config: StudyConfig, given: list[str]) -> Mapping[str, float]:
    """Returns contrast → standard deviation; one without a name is of all contrasts."""
    found: dict[str, float] = {}
    seen: dict[str, str] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        if seen.setdefault(name, number) != number:
            of = f" of {name}" if name else ""
            raise UserError(f"--run-sd{of} is given twice: {quoted(seen[name])}, {quoted(number)}")
        if equals and name not in config.contrasts:
            near = suggestion(name, list(config.contrasts))
            raise UserError(f"--run-sd: there is no contrast {quoted(name)}{near}")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise UserError(f"--run-sd: expected a positive number, got {quoted(number)}")
        found |= dict.fromkeys([name] if equals else config.contrasts, value)
    return found
