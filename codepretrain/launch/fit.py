"""Whether the training step of a study fits a machine: `codepretrain plan` in another process.

It compiles for about half a minute, with JAX, which this package does not import.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from codepretrain.errors import UserError
from codepretrain.launch.load_machine import slice_of
from codepretrain.launch.machine import LaunchConfig

_GIB = 2**30


def check_fit(launch: LaunchConfig, study: Sequence[str]) -> str:
    """Compiles the step for the machine and returns what was found, in one line.

    Args:
      study: the arguments of `codepretrain` that give the study.

    Raises:
      UserError: the step does not fit, or the study does not suit the machine.
    """
    found = slice_of(launch.machine)
    if found is None or not found.is_tpu:
        return "fit: not checked, a step is compiled ahead for TPUs only"
    if find_spec("libtpu") is None:
        return (
            "fit: not checked, the TPU compiler is not installed (no TPU is needed): run "
            "`pip install 'codepretrain[tpu]'`"
        )
    slices = f"--slices={launch.machine.num_slices}"
    target = [f"--topology={found.name}", slices, "--json", "--max-compiles=1"]
    command = [sys.executable, "-m", "codepretrain", "plan", *study, *target]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"it ended with code {done.returncode}"
        raise UserError(f"the study cannot be planned for {found.name}: {reason}")
    return _verdict(json.loads(done.stdout)["pod"], found.name)


def _verdict(pod: dict, topology: str) -> str:
    """Returns that the step fits. Raises UserError if it does not."""
    step = pod["step"]
    memory = step["memory"]
    amount = f"{memory['total'] / _GIB:.2f} of {memory['hbm'] / _GIB:.2f} GiB per chip"
    if step["fits"]:
        return f"fit: the step fits {topology}, {amount}"
    better = pod.get("would_fit")
    advice = (
        f"these settings fit: --config.execution.num_microbatches={better['num_microbatches']} "
        f"--config.execution.remat_policy={better['remat_policy']}"
        if better
        else f"find settings with `codepretrain plan --topology {topology} --search`"
    )
    raise UserError(f"the step does not fit {topology}, {amount}: {advice}")
