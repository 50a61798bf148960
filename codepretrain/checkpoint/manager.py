"""Saving and restoring the checkpoints of one run, asynchronously and by any number of processes.

    <run>/checkpoints/<step>/   state/  checkpoint.json     (record.py: how it is committed)
    <run>/checkpoints.jsonl     what was committed and deleted (history.py)

A save copies the arrays to the host and returns; a thread of each process does the rest. The
threads report to each other (`hosts.Channel`), so a failure in one process is raised in all of
them, at the next call of `save`, `wait` or `close`. An older checkpoint is deleted after a newer
one is committed (policy.py: which one), never before.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
from etils import epath

from codepretrain.checkpoint import record
from codepretrain.checkpoint.arrays import Writing
from codepretrain.checkpoint.committed import Committed
from codepretrain.checkpoint.history import history_path, last_events
from codepretrain.checkpoint.integrity import verify
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.checkpoint.refusal import explained_save
from codepretrain.checkpoint.restored import Restored
from codepretrain.checkpoint.whole import WholeCheckpoint, open_whole
from codepretrain.hosts import Channel, decide, gather
from codepretrain.progress_pipe import PROGRESS


class Checkpoints:
    """The checkpoints of one run. Every process of a job must make the same calls.

    Nothing is created or removed before the first save, so a folder that another job writes may be
    read. Before the first save, the caller must hold the run.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        policy: CheckpointPolicy,
        *,
        check_hold: Callable[[], None] = lambda: None,
        on_committed: Callable[[int, float | None], None] | None = None,
        attempt: str = "",
    ) -> None:
        """Opens a folder, which need not exist.

        Args:
          check_hold: raises if the run is no longer held; called before each commit by process 0.
          on_committed: called by every process, and by any thread of it, with the step of a
            committed checkpoint and the seconds of its save (None if it was there already).
          attempt: names the attempt of this job to train the run.
        """
        address = os.fspath(directory)  # gs://… stays as it is
        self.directory = epath.Path(address if "://" in address else os.path.abspath(address))
        self.policy = policy
        self._check_hold = check_hold
        self._on_committed = on_committed or _ignore
        self._state_name = record.state_name(attempt)
        self._channel = Channel()
        self._last_save_s = time.monotonic()
        self._committed = Committed(self.directory, policy)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def path(self, step: int) -> epath.Path:
        """Returns the folder of a step's checkpoint, which may not exist."""
        return self.directory / str(step)

    def is_permanent(self, step: int) -> bool:
        """Returns whether a checkpoint of this step would stay."""
        return self.policy.is_permanent(step)

    def is_due_by_time(self) -> bool:
        """Returns whether a temporary checkpoint is due, by this process's clock."""
        return self.policy.is_due_by_time(time.monotonic() - self._last_save_s)

    def steps(self) -> list[int]:
        """Returns the steps whose checkpoints were committed, in order; some may be damaged."""
        return decide("the list of checkpoints", self._committed.steps)

    def has_whole(self, step: int) -> bool:
        """Returns whether there is an undamaged checkpoint of this step; reads all its files."""
        return step in self.steps() and not verify(self.path(step))[1]

    def whole(self, step: int) -> tuple[WholeCheckpoint | None, str]:
        """Returns the checkpoint of this step; None, and what is damaged if it is there."""
        return open_whole(self.path(step)) if step in self.steps() else (None, "")

    def lost_steps(self, restored: Restored, *, up_to: int, recorded_step: int = 0) -> list[int]:
        """Returns the committed steps after `restored.step` that are missing.

        Where no checkpoint is whole, the damaged ones count as well.

        Args:
          recorded_step: a step that was committed by another record of the run; 0 if there is none.
        """

        def lost() -> list[int]:
            known = last_events(history_path(self.directory))
            gone = {step for step, event in known.items() if event == "committed"}
            gone |= {recorded_step} - known.keys()
            gone -= {*self._committed.steps()}
            if restored.state is None:
                gone |= restored.damaged.keys()
            return sorted(step for step in gone if restored.step < step <= up_to)

        return decide("the list of lost checkpoints", lost)

    def give_up(self, steps: list[int]) -> None:
        """Records that checkpoints are lost and that the run continues without them."""
        decide("the lost checkpoints", lambda: self._committed.note("given_up", steps))

    def save(self, step: int, state: Any, *, ledger: Any, identity: Any) -> None:
        """Starts a save; returns as soon as the state has been copied and may be donated.

        Waits for the previous save. An intact checkpoint of this step is not rewritten; a damaged
        one is replaced.

        Args:
          state: any pytree of arrays.
          ledger, identity: JSON values.

        Raises:
          UserError: this save or the one before could not be written: disk full, no permission.
        """
        self.wait()
        self._last_save_s = time.monotonic()
        folder = self.path(step)
        with explained_save(folder):
            if self._is_there(step) and self._is_whole(step):
                self._on_committed(step, None)
                return
            decide("the new checkpoint", lambda: record.begin(folder, self._state_name))
            writing = self._copied(folder, state)
        contents = record.Record(
            step=step,
            permanent=self.is_permanent(step),
            ledger=ledger,
            identity=identity,
            files={},
        )
        self._thread = threading.Thread(target=self._finish, args=(writing, contents), name="save")
        self._thread.start()

    def wait(self) -> None:
        """Waits until the last save is committed; raises as `save` if it failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Waits, and closes files."""
        try:
            self.wait()
        finally:
            self._committed.close()

    def restore(
        self,
        abstract_state: Any,
        *,
        step: int | None = None,
        up_to: int | None = None,
        since: int = 0,
        is_part: bool = False,
    ) -> Restored:
        """Returns the newest whole checkpoint of the steps from `since` to `up_to`, or of `step`.

        The state is bitwise equal to what was saved, also on another mesh.

        Args:
          abstract_state: shape, dtype and sharding of every leaf.
          is_part: `abstract_state` has only some of the leaves, such as {"params": …}; the others
            are verified and not restored.

        Raises:
          UserError: the checkpoint's leaves are not those of `abstract_state`.
        """
        damaged: dict[int, str] = {}
        for found in reversed(self.steps()):
            is_after = up_to is not None and found > up_to
            if is_after or found < since or (step is not None and found != step):
                continue
            whole, damage = open_whole(self.path(found))
            if whole is None:
                damaged[found] = damage
                continue
            return Restored(
                step=found,
                state=whole.read(abstract_state, is_part=is_part),
                ledger=whole.record.ledger,
                identity=whole.record.identity,
                damaged=damaged,
            )
        return Restored(damaged=damaged)

    def _is_there(self, step: int) -> bool:
        """Removes leftovers of killed saves at the first save; returns whether `step` exists."""

        def sweep() -> bool:
            self._committed.begin()
            steps = record.steps_in(self.directory)
            for unfinished in (s for s, is_unfinished in steps.items() if is_unfinished):
                record.remove(self.path(unfinished))
            return not steps.get(step, True)

        return decide("the checkpoints", sweep)

    def _is_whole(self, step: int) -> bool:
        """Returns whether the checkpoint is whole; deletes a damaged one, keeps a permanent one."""
        contents, faults = verify(self.path(step))

        def settle() -> bool:
            if contents is None or faults:
                self._committed.delete(step)
                return False
            if self.is_permanent(step) and not contents.permanent:
                self._committed.make_permanent(step)
            return True

        return decide("the existing checkpoint", settle)

    def _copied(self, folder: epath.Path, state: Any) -> Writing:
        """Waits until every process has a copy of its part of the state."""
        started: list[Writing] = []

        @explained_save(folder)
        def start() -> None:
            started.append(Writing(folder / self._state_name, state))

        gather("its copy of the state", start)
        PROGRESS.count()
        return started[0]

    def _finish(self, writing: Writing, contents: record.Record) -> None:
        """Runs in a thread of every process: writes, verifies, commits."""
        folder = self.path(contents.step)

        @explained_save(folder)
        def write() -> record.Files:
            writing.wait()
            return record.hash_own_files(folder, jax.process_index(), self._state_name)

        @explained_save(folder)
        def commit() -> None:
            writing.merge()
            files = {name: file for part in parts for name, file in part.items()}
            files = {**record.hash_rest(folder, files, self._state_name)}
            whole = replace(contents, files=files)
            self._check_hold()
            self._committed.add(whole)

        try:
            parts = self._channel.gather(f"the files of {folder}", write)
            self._channel.decide(f"the commit of {folder}", commit)
            self._on_committed(contents.step, time.monotonic() - self._last_save_s)
        except BaseException as error:
            self._error = error


def _ignore(step: int, seconds: float | None) -> None:
    """Does nothing."""
