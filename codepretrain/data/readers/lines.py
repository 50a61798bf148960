"""Lines of plain or gzipped files, streamed."""

import zlib
from collections.abc import Iterator

from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath, read_chunks

_GZIP = 16 + zlib.MAX_WBITS
_MAX_CHUNK_BYTES = 2**24  # of decompressed data per chunk


def read_lines(path: StrPath) -> Iterator[tuple[int, bytes]]:
    """Yields each line with its number from 1, without its newline; `.gz` files are unpacked.

    Raises:
      UserError: the file is missing or unreadable, or its compression is damaged.
    """
    chunks = _unpacked(path) if str(path).endswith(".gz") else read_chunks(path)
    number, pending = 0, [b""]
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        pending.append(first)
        for line in others:
            number += 1
            yield number, b"".join(pending)
            pending = [line]
    if last := b"".join(pending):
        yield number + 1, last


def _unpacked(path: StrPath) -> Iterator[bytes]:
    """Yields the decompressed contents of all members of a gzip file."""
    unpacker = zlib.decompressobj(_GZIP)
    is_empty = True
    for packed in read_chunks(path):
        while packed:
            is_empty = False
            if unpacker.eof:  # another member, or the zeros that pad a tape
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                unpacker = zlib.decompressobj(_GZIP)
            try:
                chunk = unpacker.decompress(packed, _MAX_CHUNK_BYTES)
            except zlib.error as error:
                raise UserError(f"{path} is damaged: {error}") from error
            packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if chunk:
                yield chunk
    if chunk := unpacker.flush():  # what a full output buffer left inside
        yield chunk
    if not unpacker.eof and not is_empty:
        raise UserError(f"{path} is damaged: it ends within its compressed data")
