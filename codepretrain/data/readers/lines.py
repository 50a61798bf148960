"""Lines of plain, gzip or zstd files, streamed."""

from collections.abc import Iterator

from codepretrain.data.document import Skipped
from codepretrain.data.readers.compression import DamagedFileError, read_unpacked
from codepretrain.files.storage import StrPath

MAX_LINE_BYTES = 2**26  # a line is one document and is held in memory several times

DAMAGED = "damaged compression: the rest of the file"
TOO_LONG = "line longer than 64 MiB"


def read_lines(path: StrPath) -> Iterator[tuple[int, bytes | Skipped]]:
    """Yields each line with its number from 1, without its newline.

    A line that is too long is skipped. If the file's compression is damaged, the last item is a
    Skipped with the number of the line that could not be completed.

    Raises:
      UserError: the file is missing or unreadable.
    """
    line = _Line()
    number = 1
    try:
        for chunk in read_unpacked(path):
            first, *others = chunk.split(b"\n")
            line.add(first)
            for other in others:
                yield number, line.take(path, number)
                number += 1
                line.add(other)
    except DamagedFileError:
        yield number, Skipped(f"{path}:{number}", DAMAGED)
        return
    if line.num_bytes:
        yield number, line.take(path, number)


class _Line:
    """The pieces of one line; those of a line that is too long are dropped."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.num_bytes = 0

    def add(self, piece: bytes) -> None:
        self.num_bytes += len(piece)
        if self.num_bytes > MAX_LINE_BYTES:
            self.pieces.clear()
        else:
            self.pieces.append(piece)

    def take(self, path: StrPath, number: int) -> bytes | Skipped:
        is_long = self.num_bytes > MAX_LINE_BYTES
        whole = b"".join(self.pieces)
        self.pieces, self.num_bytes = [], 0
        return Skipped(f"{path}:{number}", TOO_LONG) if is_long else whole
