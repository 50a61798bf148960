"""Standard output and error: any encoding, closed pipes, closed descriptors.

what the command was given       what happens
ASCII or another narrow encoding characters that it lacks become "?"; JSON escapes them
`| head -1`                      exits quietly with 141, like a program killed by SIGPIPE
`>&-`, `2>&-`                    as `> /dev/null`
a full disk                      one line on stderr, exit code 2
"""

import contextlib
import errno
import io
import json
import os
import select
import signal
import sys
import traceback
from typing import Any, TextIO

import rich

from codepretrain.errors import UserError

PIPE_CODE = 128 + signal.SIGPIPE
_PRINTERS = (os.path.dirname(__file__), os.path.dirname(rich.__file__))
_MODES = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


def prepare_streams() -> None:
    """Makes the standard streams safe to write to; call it first.

    A closed descriptor is opened on /dev/null. Otherwise the next file that is opened gets its
    number, and a library's output ends up in that file.
    """
    for descriptor, mode in _MODES.items():
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor, mode)
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "w", closefd=False))
    sys.stderr = sys.stderr or io.TextIOWrapper(io.FileIO(2, "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not the replacement of a test or a notebook
            stream.reconfigure(errors="replace")


def print_json(value: Any) -> None:
    """Prints a value as JSON that reads back exactly, whatever the encoding of stdout is."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    print(json.dumps(value, indent=1, ensure_ascii=not encoding.startswith("utf")))


def reader_is_gone(error: BaseException) -> bool:
    """Returns whether an exception means that nobody reads stdout or stderr any more.

    `rich` turns a BrokenPipeError of its own printing into SystemExit. A BrokenPipeError of
    another pipe or socket is a defect, so the streams themselves are asked.
    """
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, BrokenPipeError) and (
        isinstance(error, SystemExit) or any(_is_broken(d) for d in (1, 2))
    )


def refusal_of_stdout(error: BaseException) -> UserError | None:
    """Returns what to tell the user if `error` means that stdout cannot be written, else None."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    printing = traceback.extract_tb(error.__traceback__)[-1].filename
    if not printing.startswith(_PRINTERS):
        return None
    discard(sys.stdout)
    return UserError(f"cannot write to standard output: {error.strerror}")


def finish(code: int) -> int:
    """Flushes the output and returns the exit code; call it last.

    Python itself would flush after the command, and report a closed pipe with a traceback.

    Raises:
      UserError: stdout is on a full disk, or refuses in another way.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            discard(stream)
            code = code or PIPE_CODE
        except OSError as error:
            discard(stream)
            if stream is sys.stdout and code == 0:
                raise UserError(f"cannot write to standard output: {error.strerror}") from error
        except ValueError:  # closed by whoever put it there
            pass
    return code


def discard(stream: TextIO) -> None:
    """Redirects a stream's buffer and all further output to /dev/null."""
    with contextlib.suppress(OSError, ValueError):
        _open_null(stream.fileno(), os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        stream.flush()


def _open_null(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def _is_broken(descriptor: int) -> bool:
    """Returns whether a descriptor is a pipe or socket whose reader has gone."""
    poll = select.poll()
    try:
        poll.register(descriptor, 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except OSError as error:
        return error.errno == errno.EPIPE
