"""A worker process of Beam's Direct runner: `data/beam_direct.py` starts it.

    python -m codepretrain.data.beam_worker FOLDER

The worker ends when the process that started it closes the pipe in the folder, or ends. It logs
errors only: Beam's notes would break the progress display.
"""

import fcntl
import logging
import os
import sys
import threading
from pathlib import Path

PIPE = "pipe"
LOCK = "workers.lock"  # shared by the workers that are running


def main(folder: Path) -> None:
    """Works until the pipeline has ended."""
    threading.Thread(target=_follow, args=(folder,), daemon=True).start()
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        logging.disable(logging.WARNING)
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main(sys.argv)


def _follow(folder: Path) -> None:
    try:
        pipe = os.open(folder / PIPE, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(pipe, True)
        os.read(pipe, 1)  # nothing is ever written: returns when it is closed
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
