"""`python -m codepretrain` and the `codepretrain` command.

Signal handlers are installed before the slow imports and stay until the process exits: Python's own
shutdown would restore the default handlers while C++ threads are still running.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_has_run = False


def run() -> NoReturn:
    """Runs the command line and ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)
    _begin_worker()
    from codepretrain.cli.late_callbacks import drop_late_callbacks
    from codepretrain.cli.output import prepare_streams

    prepare_streams()
    drop_late_callbacks()
    failure: BaseException | None = None
    try:
        from codepretrain.cli.main import main

        code = main()
    except SystemExit as error:
        code, failure = _code_of(error), error
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        code, failure = 1, error
    _end(code, failure)


def _begin_worker() -> None:
    from codepretrain.cli import worker
    from codepretrain.errors import UserError

    try:
        worker.begin()
    except UserError as error:
        os.write(2, f"codepretrain: {error}\n".encode())
        os._exit(2)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    from codepretrain.progress_pipe import PROGRESS

    PROGRESS.end(code=128 + number, cause="preemption", is_cascade=False, message="stopped")
    if not _has_run and "CODEPRETRAIN_CHILD" not in os.environ:
        os.write(2, b"codepretrain: stopped; nothing was started\n")
    os._exit(128 + number)


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _end(code: int, failure: BaseException | None) -> NoReturn:
    global _has_run
    _has_run = True
    import atexit

    from codepretrain.cli.process import end_now, report_end

    report_end(code, failure)
    atexit._run_exitfuncs()
    end_now(code)


if __name__ == "__main__":
    run()
