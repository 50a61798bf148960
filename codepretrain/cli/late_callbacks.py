"""Keeps the tracebacks of callbacks that come too late off the terminal.

When a save fails, as on a full disk, Orbax raises the first error and closes its event loop while
TensorStore is still writing other arrays. When one of those ends, TensorStore calls the closed loop
from a thread in C++, and Python prints "RuntimeError: Event loop is closed" for each. They would
surround the one line that says what happened: the save's own error, which is raised in any case.

Other writes fail in their turn, and nobody asks for their results: asyncio then logs "Task
exception was never retrieved" with a traceback for each. Those of a full disk are dropped as well.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable

_ASYNCIO = os.path.join("asyncio", "base_events.py")


def drop_late_callbacks() -> None:
    """Makes Python drop them for the rest of the process, and print everything else as before."""
    printed: Callable[[sys.UnraisableHookArgs], object] = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not _is_late_callback(unraisable):
            printed(unraisable)

    sys.unraisablehook = hook
    logging.getLogger("asyncio").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Returns whether a message of asyncio is other than a further write to the full disk."""
    from codepretrain.checkpoint.refusal import is_full  # not needed by most commands

    unasked = record.getMessage().startswith("Task exception was never retrieved")
    return not (unasked and record.exc_info and is_full(record.exc_info[1]))


def _is_late_callback(unraisable: "sys.UnraisableHookArgs") -> bool:
    """Returns whether a closed event loop was called from C++: no caller is in the traceback."""
    error = unraisable.exc_value
    if not isinstance(error, RuntimeError) or str(error) != "Event loop is closed":
        return False
    frames = traceback.extract_tb(unraisable.exc_traceback)
    return (
        bool(frames)
        and frames[0].name == "call_soon_threadsafe"
        and all(frame.filename.endswith(_ASYNCIO) for frame in frames)
    )
