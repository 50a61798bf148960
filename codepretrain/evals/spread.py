"""Work on the hosts' own processors, such as programs to run, spread over all processes of a run.

    items      0  1  2  3  4  5  6 …         one round of items at a time
    process 0  0     2     4     6
    process 1     1     3     5

After each round all processes have all of its results. Agreements and results are JSON values.
"""

import collections
import functools
import platform
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from codepretrain import interrupt
from codepretrain.errors import UserError
from codepretrain.evals.progress import Progress
from codepretrain.evals.sandbox.capacity import num_parallel
from codepretrain.evals.sandbox.layers import LAYERS
from codepretrain.evals.sandbox.run import require_layers, sandbox_isolation

Item = TypeVar("Item")
_PER_WORKER = 16  # programs in a round: enough to outweigh the slowest, few to lose to a kill


@dataclass(frozen=True)
class Sandbox:
    """How programs run on every host, so that it does not matter which one runs them.

    Attributes:
      layers: those that all hosts grant.
      num_workers: programs that this process runs at a time.
      per_process: of one round of `spread`; the same on all processes.
    """

    layers: tuple[str, ...]
    num_workers: int
    per_process: int


def require_on_this_host(layers: Sequence[str], *, option: str) -> None:
    """Checks that this host grants the layers; to be called on every process before any compute.

    Raises:
      UserError: it does not; names the host, the layers and `option`, which asks for less.
    """
    try:
        require_layers(layers, option=option)
    except (UserError, RuntimeError) as error:
        raise UserError(f"host {socket.gethostname()}: {error}") from error


def agree_on_sandbox(bytes_each: int) -> Sandbox:
    """Returns the sandbox of this process. Every process calls it.

    Args:
      bytes_each: memory that one program may use.

    Raises:
      UserError: the hosts have different versions of Python, or a host has no working sandbox.
    """
    from codepretrain.hosts import gather  # imports JAX

    facts = gather("the sandboxes of the hosts", functools.partial(_facts, bytes_each))
    versions = {fact["python"]: fact["host"] for fact in facts}
    if len(versions) > 1:
        found = ", ".join(f"{version} on {host}" for version, host in sorted(versions.items()))
        raise UserError(
            f"generated programs run on all hosts, which need the same Python: found {found}"
        )
    layers = tuple(layer for layer in LAYERS if all(layer in f["layers"] for f in facts))
    sharing = collections.Counter(fact["host"] for fact in facts)
    workers = [max(1, fact["num_parallel"] // sharing[fact["host"]]) for fact in facts]
    import jax

    return Sandbox(layers, workers[jax.process_index()], _PER_WORKER * max(workers))


def _facts(bytes_each: int) -> dict[str, Any]:
    host = socket.gethostname()
    try:
        granted = sandbox_isolation().granted
    except RuntimeError as error:
        raise UserError(f"host {host}: {error}") from error
    return {
        "host": host,
        "python": platform.python_version(),
        "layers": list(granted),
        "num_parallel": num_parallel(bytes_each),
    }


def spread(
    items: Sequence[Item],
    compute: Callable[[Sequence[Item]], list[Any]],
    *,
    what: str,
    per_process: int,
    wait_s: float,
    progress: Progress,
    keep: Callable[[Sequence[Item], list[Any]], None] = lambda items, results: None,
) -> list[Any]:
    """Returns the result of every item, in order. Every process calls it with the same items.

    Args:
      items: the work.
      compute: returns the results of some items; must not wait for other processes.
      what: names the items in messages ("programs").
      per_process: items of each process in one round.
      wait_s: for the results of a round.
      keep: called on process 0 with the items and results of each round.
    """
    import jax

    from codepretrain.hosts import decide, gather

    process, count = jax.process_index(), jax.process_count()
    results: list[Any] = []
    while len(results) < len(items):
        interrupt.check()
        part = items[len(results) : len(results) + per_process * count]
        own = functools.partial(compute, part[process::count])
        shares = gather(f"the {what}", own, wait_s=wait_s)
        found = [shares[i % count][i // count] for i in range(len(part))]
        decide(f"the record of the {what}", functools.partial(keep, part, found))
        results += found
        progress(len(results), len(items), what)
    return results
