"""A sandboxed program that is asked and answers, a line each, over its standard input and output.

Nothing is assumed about the program: it may answer nothing, too much or too early, never read what
it is sent, or end. Each of these ends the dialogue with a reason.
"""

import contextlib
import os
import selectors
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from codepretrain.evals.sandbox.launch import Supervised, supervised
from codepretrain.evals.sandbox.layers import LAYERS, REQUIRED_LAYERS, missing_layers
from codepretrain.evals.sandbox.run import Execution, SandboxLimits, status_of_end

_CHUNK_BYTES = 1 << 16


class Dialogue:
    """A running program. Its time on the wall counts from here."""

    def __init__(self, run: Supervised, limits: SandboxLimits) -> None:
        assert run.input is not None
        self._run = run
        self._limits = limits
        self._started = time.monotonic()
        self._input = run.input
        self._output, self._errors = run.outputs
        self._unread = b""
        self._num_read = 0
        self._printed = b""
        self._limit: str | None = None
        self._has_ended = False
        self._execution: Execution | None = None
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._input, self._output, self._errors):
            os.set_blocking(descriptor, False)
        for descriptor in (self._output, self._errors, run.end):
            self._selector.register(descriptor, selectors.EVENT_READ)

    @property
    def isolation(self) -> tuple[str, ...]:
        return tuple(self._run.ready["layers"])

    def ask(self, line: bytes = b"") -> bytes | None:
        """Sends a line, unless it is empty, and returns the next line of the program.

        Neither has its newline. None if there will be no answer: the program has ended or reached a
        limit, which `end` tells.
        """
        assert b"\n" not in line
        pending = line + b"\n" if line else b""
        if pending:
            self._selector.register(self._input, selectors.EVENT_WRITE)
        try:
            return self._answer(pending)
        finally:
            if self._input in self._selector.get_map():
                self._selector.unregister(self._input)

    def end(self) -> Execution:
        """Kills the program if it still runs; returns how it ended.

        `Execution.stdout` is empty. The status of a program that was killed here is "error".
        """
        if self._execution is None:
            end = self._run.await_end() or {"exit_code": -9}
            status = self._limit or status_of_end(end, self._printed, self._limits)
            self._execution = Execution(
                status,
                end["exit_code"],
                b"",
                self._printed[: self._limits.output_bytes],
                time.monotonic() - self._started,
                self.isolation,
            )
        return self._execution

    def close(self) -> None:
        self._selector.close()

    def _answer(self, pending: bytes) -> bytes | None:
        deadline = self._started + self._limits.wall_s
        while self._limit is None:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                return line
            if self._has_ended:
                return None
            left = deadline - time.monotonic()
            ready = {key.fd for key, _ in self._selector.select(max(0.0, left))}
            if self._input in ready:
                pending = self._send(pending)
            self._receive(ready)
            if self._limit is None and not ready and left <= 0:
                self._limit = "timeout"
        return None

    def _send(self, pending: bytes) -> bytes:
        """Writes what the pipe takes; returns the rest."""
        try:
            pending = pending[os.write(self._input, pending[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return pending
        except BrokenPipeError:  # the program has closed its input: its end or the time says more
            pending = b""
        if not pending:
            self._selector.unregister(self._input)
        return pending

    def _receive(self, ready: set[int]) -> None:
        """Reads output; all of it if the program has ended."""
        ended = self._run.end in ready
        for descriptor in (self._output, self._errors):
            while self._limit is None and (descriptor in ready or ended):
                try:
                    chunk = os.read(descriptor, _CHUNK_BYTES)
                except BlockingIOError:
                    break
                if not chunk:
                    if descriptor in self._selector.get_map():
                        self._selector.unregister(descriptor)
                    break
                self._keep(descriptor, chunk)
                if not ended:
                    break
        self._has_ended = self._has_ended or ended

    def _keep(self, descriptor: int, chunk: bytes) -> None:
        if descriptor == self._output:
            self._unread += chunk
            self._num_read += len(chunk)
        else:
            self._printed += chunk
        if max(self._num_read, len(self._printed)) > self._limits.output_bytes:
            self._limit = "output"


@contextlib.contextmanager
def dialogue(
    program: str,
    *,
    limits: SandboxLimits = SandboxLimits(),
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    layers: Sequence[str] = tuple(LAYERS),
) -> Iterator[Dialogue]:
    """Starts the text of one program as `__main__`; ends it and cleans up after it.

    The arguments are those of `run.run_program`; `limits.output_bytes` bounds all answers together,
    and all that the program writes to its standard error.

    Raises:
      UserError: this machine does not grant a required layer; the program has not run.
      RuntimeError: the sandbox itself could not be set up.
    """
    if left_out := set(required_layers) - set(layers):
        raise ValueError(f"required layers are not among those to apply: {sorted(left_out)}")
    text = program.encode("utf-8", "surrogatepass")
    with supervised(
        text, limits=asdict(limits), layers=layers, required=required_layers, has_input=True
    ) as run:
        if "problem" in run.ready:
            error = missing_layers(run.ready["missing"], required_layers, option="required_layers")
            raise error or RuntimeError(f"the sandbox could not be set up: {run.ready['problem']}")
        with contextlib.closing(Dialogue(run, limits)) as started:
            yield started
