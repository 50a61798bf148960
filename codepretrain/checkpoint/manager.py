"""Saving and restoring: Orbax, asynchronous, with a record of every file.

    <directory>/<step>/   state/  ledger/  identity/  integrity.json      committed
    <directory>/<step>.orbax-checkpoint-tmp/                              under way, or died so
    <directory>/deleted/                                                  on its way out

Orbax writes into the temporary folder and renames it when all processes are done (on object stores,
where nothing can be renamed, it writes a commit file last). The integrity record is written just
before that. So a step's folder appears whole or not at all, and what becomes of it later is seen.

Permanent steps stay. Of the temporary ones the newest stays: an older one is deleted when a newer
checkpoint has been committed, never before. A folder whose record cannot be read is left alone.
"""

import errno
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from codepretrain.checkpoint.integrity import (
    find_damage,
    is_temporary,
    mark_permanent,
    write_record,
)
from codepretrain.config.schema import CheckpointConfig
from codepretrain.errors import UserError

_DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What `Checkpoints.restore` found; `state` is None if there is no whole checkpoint.

    damaged: one line for each checkpoint that was passed over, with what is wrong with it.
    """

    step: int = 0
    state: Any = None
    ledger: Any = None
    identity: Any = None
    damaged: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoints of one run. Every process of a job must make the same calls.

    Nothing is created or cleaned up before the first save, so a folder that another process writes
    may be read.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        config: CheckpointConfig,
        *,
        permanent_steps: Collection[int],
    ) -> None:
        address = os.fspath(directory)  # gs://… stays as it is
        self.directory = epath.Path(address if "://" in address else os.path.abspath(address))
        self._config = config
        self._permanent_steps = permanent_steps
        self._last_save_s = time.monotonic()
        self._saving: int | None = None

    def path(self, step: int) -> epath.Path:
        """Returns the folder of a step's checkpoint, whether it is there or not."""
        return self.directory / str(step)

    def is_permanent(self, step: int) -> bool:
        """Returns whether a checkpoint of this step would be kept."""
        return step in self._permanent_steps

    def is_due_by_time(self) -> bool:
        """Returns whether the last save is long enough ago, by the clock of this process."""
        return time.monotonic() - self._last_save_s >= self._config.temporary_interval_s

    def steps(self) -> list[int]:
        """Returns the steps whose checkpoints were committed, whole still or not, in order."""
        return sorted(ocp.utils.checkpoint_steps(self.directory))

    def save(self, step: int, state: Any, *, ledger: Any, identity: Any) -> None:
        """Starts to save, and returns as soon as the state has been copied and may be donated.

        state: any pytree of arrays; ledger, identity: JSON values. Waits for the save before this
        one. A step that is there and whole is not written again; a damaged one is replaced.

        Raises:
          UserError: this save or the one before could not be written: disk full, no permission.
        """
        self.wait()
        self._last_save_s = time.monotonic()
        self._saving = step
        try:
            if step in self._manager.all_steps():
                if not find_damage(self.path(step)):
                    return self._keep(step)
                self._manager.delete(step)
            items = ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                ledger=ocp.args.JsonSave(ledger),
                identity=ocp.args.JsonSave(identity),
            )
            self._manager.save(step, args=items, force=True)
        except Exception as error:
            raise self._explained(error) from error

    def wait(self) -> None:
        """Returns when the last save is committed; raises as `save` if it failed."""
        if "_manager" not in self.__dict__:
            return
        try:
            self._manager.wait_until_finished()
            self._remove_deleted()
        except Exception as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Waits, and lets go of threads and files."""
        if "_manager" in self.__dict__:
            self.wait()
            self._manager.close()

    def restore(
        self, abstract_state: Any, *, step: int | None = None, up_to: int | None = None
    ) -> Restored:
        """Returns the newest whole checkpoint, of the steps up to `up_to` or of `step` alone.

        abstract_state: shape, dtype and sharding of every leaf; the mesh may be another one than
        the checkpoint was saved from. Every bit is that which was saved.

        Raises:
          UserError: the checkpoint's leaves are not those of `abstract_state`.
        """
        damaged: list[str] = []
        for found in reversed(self.steps()):
            if found != (found if step is None else step) or found > (up_to or found):
                continue
            path = self.directory / str(found)
            if faults := find_damage(path):
                damaged.append(f"{path}: {_some(faults)}")
                continue
            items = _read(path, abstract_state)
            return Restored(
                step=found,
                state=items.state,
                ledger=items.ledger,
                identity=items.identity,
                damaged=tuple(damaged),
            )
        return Restored(damaged=tuple(damaged))

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        self._remove_deleted()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_Preserve(self),
            async_options=ocp.AsyncOptions(post_finalization_callback=self._record),
            todelete_subdir=_DELETED,  # a move: a kill during a deletion leaves no half step
            cleanup_tmp_directories=True,
            save_root_metadata=False,
            lightweight_initialize=True,
        )
        return ocp.CheckpointManager(
            self.directory, options=options, item_names=("state", "ledger", "identity")
        )

    def _record(self) -> None:
        """Runs on the first process, in the background, when all files are written."""
        assert self._saving is not None
        under_way = f"{self._saving}{ocp.path.step.TMP_DIR_SUFFIX}"
        (folder,) = (
            path
            for path in self.directory.iterdir()
            if path.name == str(self._saving) or path.name.startswith(under_way)
        )
        write_record(folder, permanent=self.is_permanent(self._saving))

    def _keep(self, step: int) -> None:
        if self.is_permanent(step) and jax.process_index() == 0:
            mark_permanent(self.path(step))

    def _remove_deleted(self) -> None:
        if jax.process_index() == 0 and (self.directory / _DELETED).exists():
            (self.directory / _DELETED).rmtree()

    def _explained(self, error: Exception) -> Exception:
        """Returns the user's error where the file system refused, else the error as it came."""
        if isinstance(error, UserError):
            return error
        if _is_full(error):
            return UserError(
                f"no space left for the checkpoint of step {self._saving} in {self.directory}; "
                "the checkpoints before it are whole: free some space and give the same command "
                "again"
            )
        if isinstance(error, OSError):
            return UserError(
                f"the checkpoint of step {self._saving} cannot be written to {self.directory}: "
                f"{error.strerror or error}"
            )
        error.add_note(f"while saving the checkpoint of step {self._saving} in {self.directory}")
        return error


class _Preserve:
    """Orbax's question which steps to keep, asked at every save about those before it as well."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        saving, directory = self.checkpoints._saving, self.checkpoints.directory
        assert saving is not None
        return [
            info.step >= saving or not is_temporary(directory / str(info.step))
            for info in checkpoints
        ]


def _read(path: epath.Path, abstract_state: Any) -> Any:
    handlers = ocp.CompositeCheckpointHandler(
        state=ocp.StandardCheckpointHandler(),
        ledger=ocp.JsonCheckpointHandler(),
        identity=ocp.JsonCheckpointHandler(),
    )
    with ocp.Checkpointer(handlers) as checkpointer:
        stored = checkpointer.metadata(path).item_metadata["state"]
        _check_leaves(_leaves(stored.tree), _leaves(abstract_state), path)
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract_state),
            ledger=ocp.args.JsonRestore(),
            identity=ocp.args.JsonRestore(),
        )
        return checkpointer.restore(path, args=items)


def _leaves(tree: Any) -> dict[str, str]:
    """Returns what each leaf is by its path: `params/embedding` → `[64, 16] float32`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (f"{list(leaf.shape)} {leaf.dtype}")
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _check_leaves(stored: dict[str, str], wanted: dict[str, str], path: epath.Path) -> None:
    found = [
        f"{name} is {stored[name]} there and {wanted[name]} here"
        for name in wanted
        if name in stored and stored[name] != wanted[name]
    ]
    found += [f"{name} is missing there" for name in wanted if name not in stored]
    found += [f"{name} is there and not here" for name in stored if name not in wanted]
    if found:
        raise UserError(
            f"the checkpoint {path} is of another model: {_some(found)}; use the model it was "
            "trained with, or start in another directory"
        )


def _some(phrases: Sequence[str], at_most: int = 3) -> str:
    more = f"; and {len(phrases) - at_most} more" if len(phrases) > at_most else ""
    return "; ".join(phrases[:at_most]) + more


def _is_full(error: BaseException | None) -> bool:
    """Returns whether a full disk or quota is at the bottom of it; TensorStore says so in words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT)):
            return True
        error = error.__cause__ or error.__context__
    return False
