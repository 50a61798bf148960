"""Which of the exceptions that nobody can catch are printed."""

import subprocess
import sys
import textwrap

from tests.conftest import ROOT

LATE = """
    import asyncio
    import tensorstore
    promise, future = tensorstore.Promise.new()
    loop = asyncio.new_event_loop()

    async def wait():
        return await future

    task = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    promise.set_result(3)  # TensorStore calls the closed loop
    task._log_destroy_pending = False
"""
OTHERS = """
    import asyncio
    loop = asyncio.new_event_loop()
    loop.close()

    class Late:
        def __del__(self):
            loop.call_soon_threadsafe(print)

    class Broken:
        def __del__(self):
            raise ValueError("broken")

    Late()
    Broken()
"""
FAILED = """
    import asyncio, gc

    async def fail():
        raise {error}

    async def main():
        tasks = [asyncio.create_task(fail()) for _ in range(2)]
        await asyncio.sleep(0.01)

    asyncio.run(main())
    gc.collect()
"""
DROP = "from codepretrain.cli.late_callbacks import drop_late_callbacks\ndrop_late_callbacks()\n"


def stderr_of(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_write_that_ends_after_its_event_loop_is_not_printed() -> None:
    late = textwrap.dedent(LATE)
    assert "RuntimeError: Event loop is closed" in stderr_of(late), "TensorStore has changed"
    assert stderr_of(DROP + late) == ""


def test_everything_else_is_printed() -> None:
    """A call of a closed loop from Python too: it is a defect of the caller."""
    others = textwrap.dedent(OTHERS)
    printed = stderr_of(DROP + others)
    assert "Event loop is closed" in printed
    assert "ValueError: broken" in printed


def test_further_writes_to_a_full_disk_are_not_printed() -> None:
    full = textwrap.dedent(FAILED).format(error='ValueError("No space left on device [28]")')
    other = textwrap.dedent(FAILED).format(error='ValueError("a defect")')
    assert "Task exception was never retrieved" in stderr_of(full)
    assert stderr_of(DROP + full) == ""
    assert stderr_of(DROP + other).count("ValueError: a defect") == 2
