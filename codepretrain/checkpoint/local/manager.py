"""Frequent checkpoints on the disks of the hosts, which survive the loss of single hosts.

Each process keeps the part of the state that its devices hold, and, where no other process holds
the same, the part of the process before it, which comes over the interconnect (exchange.py). A
restart resumes from the newest step of which every part is on some host's disk.

A save copies to the host and returns; a thread writes. A step counts when all processes have
sealed it. Then all but the newest `_KEPT` are removed. A process that cannot write costs the local
checkpoints of all until the next start, and a warning; never the run.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from codepretrain.checkpoint.local import files
from codepretrain.checkpoint.local.exchange import Shards, compile_sends, host_copies
from codepretrain.checkpoint.local.layout import Layout
from codepretrain.checkpoint.local.lineage import Lineage, begin_start, end_lineage, lineage
from codepretrain.checkpoint.local.plan import Key, restorable
from codepretrain.checkpoint.local.restore import LocalRestore
from codepretrain.checkpoint.refusal import is_full
from codepretrain.checkpoint.restored import Restored
from codepretrain.config.schema import CheckpointConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.writable import check_writable
from codepretrain.hosts import Channel, gather, values_of_processes
from codepretrain.progress_pipe import PROGRESS

_KEPT = 2  # so that damage of the newest one costs one interval
_WAIT_S = 600.0  # for the other processes' disks
_NAME = "config.checkpoint.local_folder"


class LocalCheckpoints:
    """The local checkpoints of one run. Every process of a job must make the same calls.

    Without a folder every method does nothing, but that `begin` ends the history of older copies.
    """

    def __init__(
        self,
        config: CheckpointConfig,
        run_dir: epath.Path,
        abstract_state: Any,
        *,
        identity: Mapping[str, Any],
        tell: Callable[[str], None],
        check_hold: Callable[[], None] = lambda: None,
        is_off: bool = False,
    ) -> None:
        """Opens the folder of `config`; creates nothing.

        Args:
          abstract_state: shape, dtype and sharding of every leaf.
          tell: prints a line, on one process.
          check_hold: raises if the run is no longer held; called before each save by process 0. A
            job that has lost it must not add steps that the records of the next one lack.
          is_off: as without a folder, and older copies stay of use.
        """
        self._config = config
        self._run_dir = run_dir
        self._abstract_state = abstract_state
        self._identity = identity
        self._tell = tell
        self._check_hold = check_hold
        self._is_off, self._is_on = is_off, config.local_folder is not None and not is_off
        self._is_saving = self._is_on  # the same on all processes
        self._has_failed = False  # on this one
        self._last_save_s = time.monotonic()
        self._thread: threading.Thread | None = None
        self._lineage = Lineage()
        if self._is_on:
            parent = storage.parse(config.local_folder or "", name=_NAME, schemes=())
            self._folder = files.run_folder(parent, run_dir)
            self._layout = Layout(abstract_state)
            self._channel = Channel()

    def is_due(self, step: int) -> bool:
        """Returns whether a save is due after a step, where they go by steps."""
        interval = self._config.local_interval_steps
        return self._is_saving and interval is not None and step % interval == 0

    def is_due_by_time(self) -> bool:
        """Returns whether a save is due by this process's clock, where they go by time."""
        is_by_time = self._is_saving and self._config.local_interval_steps is None
        return is_by_time and time.monotonic() - self._last_save_s >= self._config.local_interval_s

    def find(self, *, up_to: int) -> list[Key]:
        """Returns the states up to a step of which all parts are somewhere, newest first.

        Tells what is damaged, and what is of another mesh.

        Raises:
          UserError: no process can write to the folder.
        """
        if not self._is_on:
            return []
        self._lineage = lineage(self._run_dir)
        own = self._scan()
        self._copies = own.copies

        def report() -> dict[str, Any]:
            return {
                "refusal": self._refusal(),
                "held": [(copy.step, copy.digest, copy.part) for copy in own.copies],
                "damaged": own.damaged,
                "others": own.others,
            }

        reports = gather("the local checkpoints", report)
        self._check_writable([one["refusal"] for one in reports])
        for line in _once([line for one in reports for line in one["damaged"]]):
            self._tell(f"damaged local checkpoint: {line}")
        if others := _once([line for one in reports for line in one["others"]]):
            here = self._layout.describe()
            self._tell(f"local checkpoints are ignored here ({here}): {'; '.join(others)}")
        held = [{(step, key, part) for step, key, part in one["held"]} for one in reports]
        return [key for key in restorable(held, self._layout.parts) if key[0] <= up_to]

    def restore(self, key: Key, *, damaged: Mapping[int, str]) -> Restored | None:
        """Returns one of the states that were found; None, told why, if a part is damaged.

        Args:
          damaged: checkpoints of the working directory that are newer.
        """
        copies = [copy for copy in self._copies if (copy.step, copy.digest) == key]
        restoring = LocalRestore(self._layout, copies, step=key[0], tell=self._tell)
        found = restoring.state()
        if found is None:
            return None
        return Restored(
            step=key[0],
            state=found,
            ledger=restoring.ledger,
            identity=self._identity,
            damaged={**damaged},
            is_local=True,
        )

    def begin(self, step: int, *, is_local: bool) -> None:
        """Removes what is of another history, and compiles what a save needs.

        Args:
          step: from which the run resumes; is_local: from a local checkpoint.
        """
        if not self._is_on:
            if not self._is_off:
                end_lineage(self._run_dir)
            return
        self._lineage = begin_start(self._run_dir, step, of=self._lineage if is_local else None)

        def clean() -> str:
            try:
                files.remove_lineages(self._folder, but=self._lineage.name)
                later = [s for s in files.steps(self.folder) if s > step]
                files.remove_steps(self.folder, later)
            except UserError as error:
                return str(error)
            return ""

        self._stop_saving(_once(gather("the old local checkpoints", clean)))
        if self._is_saving:
            self._programs = compile_sends(self._layout)
        self._last_save_s = time.monotonic()

    def save(self, step: int, state: Any, *, ledger: Any) -> None:
        """Starts a save; returns as soon as the state has been copied and may be donated.

        Waits for the previous save.
        """
        self.wait()
        # The copies below are sent by all processes, so none may leave on its own.
        if any(failed for (failed,) in values_of_processes([self._has_failed])):
            self._is_saving = False
            return
        self._last_save_s = time.monotonic()
        process = jax.process_index()
        record = files.Record(
            step=step,
            start=self._lineage.start,
            layout=self._layout.digest,
            described=self._layout.describe(),
            ledger=ledger,
            identity=self._identity,
        )
        copies = host_copies(self._layout, state, self._programs, process)
        parts = dict(zip(self._layout.kept_parts(process), copies, strict=True))
        self._thread = threading.Thread(
            target=self._finish, args=(record, parts), name="local save"
        )
        self._thread.start()
        PROGRESS.count()

    def wait(self) -> None:
        """Waits until the last save is written, or has failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def clear(self) -> None:
        """Removes all local checkpoints of the run: a newer one is committed elsewhere."""
        self.wait()
        if not self._is_on:
            return

        def remove() -> str:
            try:
                files.remove_lineages(self._folder)
            except UserError as error:
                return str(error)
            return ""

        for fault in _once(gather("the end of the local checkpoints", remove)):
            self._tell(f"local checkpoints are left behind: {fault}")

    @property
    def folder(self) -> epath.Path:
        """The folder of the steps on this host; there must be a `local_folder`."""
        return self._folder / self._lineage.name

    def _scan(self) -> files.Found:
        if not self._lineage.name:
            return files.Found(copies=(), damaged=(), others=())
        layout, identity = self._layout.digest, self._identity
        return files.scan(self.folder, layout=layout, identity=identity, lineage=self._lineage)

    def _refusal(self) -> list[Any] | None:
        """Returns why this process cannot write to the folder, and whether it is only full."""
        try:
            check_writable(self._config.local_folder or "", name=_NAME)
        except UserError as error:
            return [str(error), is_full(error)]
        return None

    def _check_writable(self, refusals: Sequence[list[Any] | None]) -> None:
        faults = [refusal for refusal in refusals if refusal is not None]
        if len(faults) == len(refusals) and not any(is_only_full for _, is_only_full in faults):
            raise UserError(faults[0][0])
        self._stop_saving([text for text, _ in faults])

    def _finish(self, record: files.Record, parts: Mapping[int, Sequence[Shards]]) -> None:
        """Runs in a thread of every process: writes, compares, and removes older steps."""

        def write() -> dict[str, Any]:
            try:
                hashes = files.write(self.folder, jax.process_index(), record, parts)
            except UserError as error:
                return {"fault": str(error)}
            return {"hashes": list(hashes.items())}

        try:
            self._channel.decide("the hold of a local save", self._check_hold, wait_s=_WAIT_S)
            reports = self._channel.gather("a local checkpoint", write, wait_s=_WAIT_S)
            faults = [one["fault"] for one in reports if "fault" in one]
            differing = [] if faults else _differing([one["hashes"] for one in reports])
            self._fail(faults or differing)
            if differing:
                files.remove_steps(self.folder, [record.step])
            elif not faults:
                newest = files.steps(self.folder)
                files.remove_steps(self.folder, newest[:-_KEPT])
        except Exception as error:  # a peer has ended, or a disk is gone
            self._fail([f"{type(error).__name__}: {error}"])

    def _stop_saving(self, faults: Sequence[str]) -> None:
        """Ends local saves if anything is wrong, which all processes know."""
        if self._is_saving:
            self._fail(faults)
            self._is_saving = not faults

    def _fail(self, faults: Sequence[str]) -> None:
        """Notes that the next save is to end local saves; those before stay on the disks."""
        if not faults:
            return
        self._has_failed = True
        more = f" (and {len(faults) - 1} other hosts)" if len(faults) > 1 else ""
        self._tell(f"warning: no local checkpoints until the next start: {faults[0]}{more}")


def _differing(hashes: Sequence[Sequence[tuple[int, str]]]) -> list[str]:
    """Returns which parts are not the same on the processes that keep them."""
    found: dict[int, dict[str, list[int]]] = {}
    for process, own in enumerate(hashes):
        for part, sha256 in own:
            found.setdefault(part, {}).setdefault(sha256, []).append(process)
    return [
        f"copies of one part of the state differ between processes {' and '.join(map(str, groups))}"
        for groups in (list(by_hash.values()) for by_hash in found.values())
        if len(groups) > 1
    ]


def _once(texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
