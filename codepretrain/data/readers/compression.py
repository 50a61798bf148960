"""Contents of plain, gzip (`.gz`) and zstd (`.zst`) files, unpacked as a stream.

Small pieces are unpacked at a time. So a small file that unpacks to terabytes needs little memory,
and of a damaged file all that precedes the damage is read; of zstd, all that precedes its block of
128 KiB. What follows it is lost: how many lines it had is unknown, and lines are named by their
numbers.
"""

import zlib
from collections.abc import Iterator
from typing import Any

from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath, read_chunks

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_PIECE = 2**16
_ZSTD_PIECE = 2**10  # a block of 128 KiB may be 4 bytes long: at most 32 MiB are unpacked at once
_MAX_CHUNK_BYTES = 2**20  # of unpacked data: a chunk of newlines is a list of as many lines


class DamagedFileError(UserError):
    """The compressed data of a file is damaged or ends too early."""


def read_unpacked(path: StrPath) -> Iterator[bytes]:
    """Yields the contents of a file, decompressed by the suffix of its name.

    Raises:
      DamagedFileError: its compression is damaged; what precedes the damage was yielded.
      UserError: the file is missing or unreadable.
    """
    if str(path).endswith(".gz"):
        return _gzip(path)
    if str(path).endswith((".zst", ".zstd")):
        return _zstd(path)
    return read_chunks(path)


def _gzip(path: StrPath) -> Iterator[bytes]:
    """Yields the decompressed contents of all members of a gzip file."""
    unpacker = zlib.decompressobj(_GZIP)
    is_empty = True
    for packed in _pieces(path, _GZIP_PIECE):
        while packed:
            is_empty = False
            if unpacker.eof:  # another member, or the zeros that pad a tape
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                unpacker = zlib.decompressobj(_GZIP)
            before = unpacker.copy()
            try:
                chunk = unpacker.decompress(packed, _MAX_CHUNK_BYTES)
            except zlib.error as error:
                yield _before_damage(before, packed)
                raise DamagedFileError(f"{path} is damaged: {error}") from error
            packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if chunk:
                yield chunk
    if chunk := unpacker.flush():  # what a full output buffer left inside
        yield chunk
    if not unpacker.eof and not is_empty:
        raise DamagedFileError(f"{path} is damaged: it ends within its compressed data")


def _before_damage(unpacker: "zlib._Decompress", packed: bytes) -> bytes:
    """Returns what a piece unpacks to before its damage, at most `_MAX_CHUNK_BYTES`."""
    chunk = bytearray()
    try:
        for byte in packed:
            chunk += unpacker.decompress(bytes([byte]), _MAX_CHUNK_BYTES)
            while unpacker.unconsumed_tail and len(chunk) < _MAX_CHUNK_BYTES:
                chunk += unpacker.decompress(unpacker.unconsumed_tail, _MAX_CHUNK_BYTES)
            if unpacker.eof or len(chunk) >= _MAX_CHUNK_BYTES:
                break
    except zlib.error:
        pass
    return bytes(chunk)


def _zstd(path: StrPath) -> Iterator[bytes]:
    """Yields the decompressed contents of all frames of a zstd file."""
    import zstandard  # a training process runs without it

    decompressor = zstandard.ZstdDecompressor()
    unpacker: Any = None
    for packed in _pieces(path, _ZSTD_PIECE):
        while packed:
            unpacker = unpacker or decompressor.decompressobj()
            try:
                chunk = unpacker.decompress(packed)
            except zstandard.ZstdError as error:
                raise DamagedFileError(f"{path} is damaged: {error}") from error
            packed = b""
            if unpacker.eof:  # another frame follows, or nothing
                packed, unpacker = unpacker.unused_data, None
            for start in range(0, len(chunk), _MAX_CHUNK_BYTES):
                yield chunk[start : start + _MAX_CHUNK_BYTES]
    if unpacker is not None:
        raise DamagedFileError(f"{path} is damaged: it ends within its compressed data")


def _pieces(path: StrPath, size: int) -> Iterator[bytes]:
    for chunk in read_chunks(path):
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]
