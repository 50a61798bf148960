"""Runs `gcloud` and `kubectl`: a command, its exit code and what it printed."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codepretrain.errors import UserError, one_line

TIMEOUT_S = 300.0
_MISSING = {
    "gcloud": "install the Google Cloud CLI and run `gcloud auth login`",
    "kubectl": "install kubectl and run `gcloud container clusters get-credentials`",
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def reason(self) -> str:
        """What it said when it failed, in one line."""
        return one_line(self.stderr.strip() or f"it ended with code {self.code}")[:1000]


Run = Callable[[Sequence[str], str], Done]


def run_command(command: Sequence[str], stdin: str = "") -> Done:
    """Runs a command to its end.

    Raises:
      UserError: the program is not installed.
    """
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        program = command[0]
        fix = _MISSING.get(program, "install it")
        raise UserError(f"{program} is not installed: {fix}") from error
    except subprocess.TimeoutExpired:
        return Done(124, "", f"no answer within {TIMEOUT_S:g} s")
    return Done(done.returncode, done.stdout, done.stderr)
