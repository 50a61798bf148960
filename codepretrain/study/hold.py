"""The hold of a run by one job, among the job's processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from etils import epath

from codepretrain.files.lease import Lease, exclusive
from codepretrain.hosts import decide


@contextmanager
def held(run_dir: epath.Path, announce: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Holds the run for this job: process 0 takes the hold, and all end if it cannot.

    Yields a function that raises if the hold is lost; only process 0 may call it.

    Args:
      announce: prints that the hold is waited for.
    """
    with ExitStack() as stack:
        leases: list[Lease] = []
        decide(
            f"the hold of {run_dir}",
            lambda: leases.append(stack.enter_context(exclusive(run_dir, announce=announce))),
        )
        yield leases[0].check if leases else _not_asked


def _not_asked() -> None:
    raise AssertionError("only process 0 holds the run")
