"""The published numbers, which experiment files read whenever a study is loaded."""

import subprocess
import sys


def test_an_experiment_reads_them_without_the_report() -> None:
    program = "import sys, experiments.study.contrasts; print('scipy.optimize' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
