"""Read by Python at its start where this folder is in PYTHONPATH: holds a worker in one stage.

    CODEPRETRAIN_FAULTS    a folder: its file `stage` names the stage (tests/fixtures/hold.py); a
                           file `in-<stage>-<process>` appears when a worker is in it

A stage `flip-<process>` flips one bit of a gradient of that process (../flip.py).
"""

import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    words = sys.orig_argv
    process = words[words.index("--process-id") + 1]
    stage = (folder / "stage").read_text()
    marker = folder / f"in-{stage}-{process}"
    if stage.startswith("flip-"):
        from tests.campaigns.faults.flip import flip_a_bit

        flip_a_bit(int(stage[-1]), marker)
    elif stage != "none":
        from tests.fixtures.hold import hold

        hold(stage, marker)


if "CODEPRETRAIN_FAULTS" in os.environ and "--process-id" in sys.orig_argv:
    main(Path(os.environ["CODEPRETRAIN_FAULTS"]))
