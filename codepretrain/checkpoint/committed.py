"""The committed checkpoints of a run, and the journal of what became of them."""

from etils import epath

from codepretrain.checkpoint import record
from codepretrain.checkpoint.history import Event, History
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.checkpoint.reading import Readers


class Committed:
    """The checkpoints of a folder. Only process 0 changes anything, and holds the run then."""

    def __init__(self, directory: epath.Path, policy: CheckpointPolicy) -> None:
        self._directory = directory
        self._policy = policy
        self._history: History | None = None
        self._readers = Readers(directory)
        self._permanent: dict[int, bool] = {}  # from the records, read once

    def steps(self) -> list[int]:
        """Returns the steps that were committed, as the folder shows them."""
        steps = record.steps_in(self._directory)
        return [step for step, is_unfinished in steps.items() if not is_unfinished]

    def add(self, contents: record.Record) -> None:
        """Commits a checkpoint, then deletes those that it supersedes and that nobody reads."""
        record.write_record(self._path(contents.step), contents)
        self._permanent[contents.step] = contents.permanent
        self.note("committed", [contents.step])
        permanent = {step: self._stays(step) for step in self.steps()}
        for step in self._policy.superseded(permanent, saved_step=contents.step):
            if self._readers.lock_out(step):
                self.delete(step)
                self._readers.forget(step)

    def make_permanent(self, step: int) -> None:
        """Turns a temporary checkpoint into a permanent one."""
        record.mark_permanent(self._path(step))
        self._permanent[step] = True

    def delete(self, step: int) -> None:
        self.note("deleted", [step])
        record.remove(self._path(step))

    def note(self, event: Event, steps: list[int]) -> None:
        """Appends to the journal."""
        self.begin().append(event, steps)

    def begin(self) -> History:
        """Opens the journal, which creates it."""
        if self._history is None:
            self._readers.begin()
            self._history = History(self._directory, present=self.steps())
        return self._history

    def close(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None

    def _stays(self, step: int) -> bool:
        if step not in self._permanent:
            self._permanent[step] = record.is_permanent(self._path(step))
        return self._permanent[step]

    def _path(self, step: int) -> epath.Path:
        return self._directory / str(step)
