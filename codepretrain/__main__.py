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
    from codepretrain.cli.late_callbacks import drop_late_callbacks
    from codepretrain.cli.output import prepare_streams

    prepare_streams()
    drop_late_callbacks()
    try:
        from codepretrain.cli.main import main

        code = main()
    except SystemExit as error:
        code = _code_of(error)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    _end(code)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    if not _has_run and "CODEPRETRAIN_CHILD" not in os.environ:
        os.write(2, b"codepretrain: stopped; nothing was started\n")
    os._exit(128 + number)


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _end(code: int) -> NoReturn:
    global _has_run
    _has_run = True
    import atexit

    from codepretrain.cli.process import end_now

    atexit._run_exitfuncs()
    end_now(code)


if __name__ == "__main__":
    run()
