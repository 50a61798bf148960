"""The lines between a sandboxed program and the evaluator. Part of programs in a sandbox."""

import os

_CHUNK_BYTES = 1 << 16


class Channel:
    """Takes the standard input and output for itself.

    What the rest of the program reads from its standard input is empty; what it prints goes to its
    standard error.
    """

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        self._unread = b""

    def send(self, line: bytes) -> None:
        line += b"\n"
        while line:
            line = line[os.write(self._output, line) :]

    def receive(self) -> bytes:
        """Returns the next line; ends the program if there is none."""
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            chunk = os.read(self._input, _CHUNK_BYTES)
            if not chunk:
                os._exit(1)
            parts.append(chunk)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line
