"""A worker process of Beam's Direct runner: `data/engines/beam_direct.py` starts it.

    python -m codepretrain.data.engines.beam_worker FOLDER

It ends with the pipeline that it works for (`files/lifeline.py`). It logs errors only: Beam's notes
would break the progress display.
"""

import logging
import sys
from pathlib import Path

from codepretrain.files.lifeline import following


def main(folder: Path) -> None:
    """Works until the pipeline has ended."""
    with following(folder):
        logging.disable(logging.WARNING)
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
