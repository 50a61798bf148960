"""A profile of some training steps, for TensorBoard (XProf) and ui.perfetto.dev.

    <folder>/plugins/profile/<time>/   <host>.xplane.pb  <host>.trace.json.gz
                                       perfetto_trace.json.gz

To view it: `tensorboard --logdir <run folder>/profile`, or open perfetto_trace.json.gz in
ui.perfetto.dev. Several processes write to `<folder>/process-<index>/`.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import StrPath, is_local, read_bytes, sizes_below

WARM_UP_STEPS = 3  # the first steps allocate memory and fill the pipeline of batches


class Profile:
    """Profiles `num_steps` steps after a warm-up; nothing if it is 0."""

    def __init__(
        self,
        folder: StrPath,
        num_steps: int,
        announce: Callable[[str], None] = lambda message: None,
    ) -> None:
        """announce: called with a message once the profile is written."""
        self._announce = announce
        several = jax.process_count() > 1
        self._folder = (
            os.path.join(folder, f"process-{jax.process_index()}") if several else os.fspath(folder)
        )
        self._num_steps = num_steps
        self._first: int | None = None
        self._is_on = False
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def before_step(self, step: int) -> None:
        """Starts the profile if the warm-up is over; `step`: updates made so far."""
        if not self._num_steps:
            return
        if self._first is None:
            self._first = step + WARM_UP_STEPS
        if step == self._first:
            target = self._folder
            if not is_local(target):  # JAX writes to local folders
                self._scratch = tempfile.TemporaryDirectory(prefix="codepretrain-profile-")
                target = self._scratch.name
            jax.profiler.start_trace(target, create_perfetto_trace=True)
            self._is_on = True

    def after_step(self, step: int, result: jax.Array) -> None:
        """Ends the profile after its last step, when `result` has been computed."""
        if self._is_on and self._first is not None and step == self._first + self._num_steps:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Writes the profile, of fewer steps if the run ends earlier."""
        if not self._is_on:
            return
        self._is_on = False
        jax.profiler.stop_trace()
        if self._scratch is not None:
            for name in sizes_below(self._scratch.name):
                content = read_bytes(Path(self._scratch.name) / name)
                write_bytes(os.path.join(self._folder, name), content)
            self._scratch.cleanup()
        self._announce(f"profile written to {self._folder}")
