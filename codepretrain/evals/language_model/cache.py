"""Results of requests, kept in a file: an evaluation that was killed computes only what is missing.

A request is a sequence to score or a prompt to complete, after truncation, or a completion to
grade. Its key is the hash of all that decides its result. The file is a journal
(`files/journal.py`), written after every batch. Process 0 alone reads and writes it, and tells the
others which results are there, so all processes compute the same batches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import jax

from codepretrain.files import journal
from codepretrain.files.hashing import sha256_json
from codepretrain.files.journal import Journal
from codepretrain.files.storage import StrPath
from codepretrain.hosts import decide, share

_VERSION = 1  # to be raised when the code gives other results


class RequestCache:
    """Results by request, of one model with given parameters or of one grader.

    Every process makes it with the same arguments, and all enter and leave it together.

    Attributes:
      digest: of what decides a result beside the request.
    """

    def __init__(self, path: StrPath, digest: str) -> None:
        """Opens the file, or creates it.

        Args:
          path: of a file that no other process writes to at the same time. Results of other
            digests in it are kept.
          digest: of what decides a result beside the request.

        Raises:
          UserError: the file is damaged before its last line, or cannot be written.
        """
        self.digest = digest
        self._path = path
        self._journal: Journal | None = None
        self._known: dict[str, Any] = {}
        decide("the file of cached results", self._open)

    def key(self, kind: str, request: Mapping[str, Any]) -> str:
        """Returns the key of a request; `request` holds all that decides its result."""
        about = {"version": _VERSION, "model": self.digest, "kind": kind}
        return sha256_json({**about, "request": request})

    def lookup(self, keys: Sequence[str]) -> list[Any]:
        """Returns the result of each key, None where there is none; the same in all processes."""
        return share([self._known.get(key) for key in keys])

    def add(self, results: Mapping[str, Any]) -> None:
        """Keeps new results, which are JSON values other than None.

        Raises:
          UserError: the file cannot be written.
        """
        decide("that results are cached", lambda: self.append(results))

    def append(self, results: Mapping[str, Any]) -> None:
        """`add` on process 0 alone, which is within an agreement already."""
        assert self._journal is not None, "the cache is closed"
        for key, value in results.items():
            self._journal.append({"key": key, "value": value})
            self._known[key] = value

    def close(self) -> None:
        """Makes all results durable and closes the file."""
        decide("that the file of cached results is closed", self._close)

    def remove(self) -> None:
        """Removes the file, which must be closed."""
        decide("that the file of cached results is removed", lambda: journal.remove(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif jax.process_index() == 0:  # the other processes may not come here
            self._close()

    def _open(self) -> None:
        self._journal = Journal(self._path, fields={"key": str, "value": object})
        self._known = {record["key"]: record["value"] for record in self._journal.kept}

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.sync()
            self._journal.close()
            self._journal = None


Results = Iterator[list[tuple[int, Any]]]


def cached(
    cache: RequestCache | None,
    kind: str,
    requests: Sequence[Callable[[], Mapping[str, Any]]],
    compute: Callable[[list[int]], Results],
) -> Results:
    """Yields (number of the request, its result) for all requests, as they come.

    Args:
      requests: for each request, a function that returns all that decides its result.
      compute: yields results, as JSON values, of the requests with these numbers. Each is numbered
        by its position among them.
    """
    if cache is None:
        yield from compute(list(range(len(requests))))
        return
    keys = [cache.key(kind, request()) for request in requests]
    known = cache.lookup(keys)
    found = [(number, value) for number, value in enumerate(known) if value is not None]
    if found:
        yield found
    missing = [number for number, value in enumerate(known) if value is None]
    for batch in compute(missing):
        new = [(missing[position], value) for position, value in batch]
        cache.add({keys[number]: value for number, value in new})
        yield new
