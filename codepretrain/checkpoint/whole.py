"""A committed checkpoint whose files were all verified: its record, and its arrays on any mesh."""

from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.checkpoint import replicas
from codepretrain.checkpoint.arrays import check_stored, read_arrays, some
from codepretrain.checkpoint.integrity import verify
from codepretrain.checkpoint.record import Record
from codepretrain.hosts import gather
from codepretrain.progress_pipe import PROGRESS


@dataclass(frozen=True)
class WholeCheckpoint:
    """The checkpoint in `folder`. Every process of a job must make the same calls."""

    folder: epath.Path
    record: Record

    def check(self, abstract_state: Any, *, is_part: bool = False) -> None:
        """Checks that it has these leaves; reads no array. Arguments and error as of `read`."""
        arrays = self.folder / self.record.state
        gather(f"the leaves of {arrays}", lambda: check_stored(arrays, abstract_state, is_part))

    def read(self, abstract_state: Any, *, is_part: bool = False) -> Any:
        """Returns the arrays; of several replicas one reads them (replicas.py).

        Args:
          abstract_state: shape, dtype and sharding of every leaf.
          is_part: `abstract_state` has only some of the leaves, such as {"params": …}.

        Raises:
          UserError: the checkpoint's leaves are not those of `abstract_state`.
        """
        folder = self.folder / self.record.state
        is_sent = replicas.has_other_replicas(abstract_state)
        wanted = replicas.first_replica(abstract_state) if is_sent else abstract_state
        arrays: list[Any] = []

        def read() -> None:
            if not is_sent or replicas.is_reader(abstract_state):
                arrays.append(read_arrays(folder, wanted, is_part=is_part))

        gather(f"the arrays of {folder}", read)
        PROGRESS.count()
        state = arrays[0] if arrays else None
        return replicas.send_to_all(abstract_state, state) if is_sent else state


def open_whole(folder: epath.Path) -> tuple[WholeCheckpoint | None, str]:
    """Returns a committed checkpoint, or None and what is damaged; reads every file once."""
    record, faults = verify(folder)
    if record is None or faults:
        return None, f"{folder}: {some(faults)}"
    return WholeCheckpoint(folder, record), ""
