"""What a supervisor and the folder of its job tell each other, in a thread of its own.

    supervisor ── record ──→ thread: writes it, then reads the orders ── Answer ──→ supervisor

One record is under way at a time. A storage that is slow or fails delays the next one, never the
supervisor: it watches its worker, and obeys signals, meanwhile. An error is part of the answer.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codepretrain.errors import UserError, described
from codepretrain.files.hold_errors import InUseError
from codepretrain.launch import record_files
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.records import HostRecord, Orders


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one exchange.

    asked_s: when it began. orders: None if there are none, or they could not be read; has_orders
    tells which. confirmed: ids of attempts in the orders whose own file says the same. refused: ids
    of those whose file says something else. problems: what failed, in words. is_taken: another
    supervisor has taken this host over.
    """

    asked_s: float
    orders: Orders | None = None
    has_orders: bool = False
    confirmed: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    is_taken: bool = False


class Exchange:
    """Exchanges records for orders.

    Args:
      check: raises InUseError if another supervisor has taken this host over.
    """

    def __init__(
        self,
        folder: JobFolder,
        host: int,
        *,
        check: Callable[[], None],
        now_s: Callable[[], float],
    ) -> None:
        self._folder, self._host, self._check, self._now_s = folder, host, check, now_s
        self._asked: queue.SimpleQueue[tuple[float, HostRecord | None] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._confirmed: set[str] = set()
        self.is_busy = False
        self.asked_s = now_s()
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
        self._thread.start()

    def ask(self, record: HostRecord | None) -> None:
        """Starts an exchange; without a record it only reads the orders."""
        assert not self.is_busy
        self.is_busy, self.asked_s = True, self._now_s()
        self._asked.put((self.asked_s, record))

    def answer(self) -> Answer | None:
        """Returns the answer of the exchange that is under way, None while there is none."""
        try:
            found = self._answers.get_nowait()
        except queue.Empty:
            return None
        self.is_busy = False
        return found

    def close(self) -> None:
        """Ends the thread, unless the storage keeps it from ending."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            self._answers.put(self._exchange(*asked))

    def _exchange(self, asked_s: float, record: HostRecord | None) -> Answer:
        problems = []
        try:
            self._check()
            if record is not None:
                record_files.write_host(self._folder, record)
        except InUseError as error:
            return Answer(asked_s=asked_s, problems=(str(error),), is_taken=True)
        except Exception as error:
            problems.append(f"cannot write hosts/{self._host}.json: {_words(error)}")
        try:
            orders = record_files.read_orders(self._folder)
        except Exception as error:
            problems.append(f"cannot read orders.json: {_words(error)}")
            return Answer(asked_s=asked_s, problems=tuple(problems))
        refused: dict[str, str] = {}
        for attempt in orders.running if orders is not None else ():
            if self._host not in attempt.hosts or attempt.id in self._confirmed:
                continue
            try:
                if record_files.read_attempt(self._folder, attempt.id) == attempt:
                    self._confirmed.add(attempt.id)
                else:
                    refused[attempt.id] = f"attempts/{attempt.id}.json differs from the orders"
            except Exception as error:
                problems.append(f"cannot read attempts/{attempt.id}.json: {_words(error)}")
        return Answer(
            asked_s=asked_s,
            orders=orders,
            has_orders=True,
            confirmed=frozenset(self._confirmed),
            refused=refused,
            problems=tuple(problems),
        )


def _words(error: Exception) -> str:
    """Returns an error's words; libraries of object stores raise errors of any type."""
    return str(error) if isinstance(error, UserError) else described(error)
