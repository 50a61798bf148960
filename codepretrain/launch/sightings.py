"""What a conductor has seen of each host with its own clock.

A record says nothing about when it was written. So a conductor counts the seconds since it last saw
a record change, and trusts no record that it has not seen change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from codepretrain.launch.job import Request
from codepretrain.launch.records import HostRecord

NO_SILENCE: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A host's record.

    silent_s: since it last changed. present_s: since it began to change without a long silence.
    has_beaten: it has changed since this conductor first read it. has_obeyed: the orders as they
    are now were read and carried out before this record was written. is_ours: so were some orders
    of this conductor, by this supervisor.
    """

    record: HostRecord
    silent_s: float
    present_s: float
    has_beaten: bool
    has_obeyed: bool
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class View:
    """All that a decision depends on besides the job and its state.

    used: the highest attempt number of each stage that has a file. watched_s: how long this
    conductor has watched. median_step_s: by attempt. requests: that are not taken yet.
    """

    hosts: Mapping[int, Seen]
    watched_s: float
    requests: tuple[Request, ...] = ()
    used: Mapping[str, int] = field(default_factory=dict)
    median_step_s: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Host:
    record: HostRecord
    silent_s: float = 0.0
    present_s: float = 0.0
    has_beaten: bool = False
    first_beat: int | None = None  # of the first record that was read after the orders were written
    has_obeyed: bool = False
    is_ours: bool = False


class Sightings:
    """Follows the records of all hosts.

    A supervisor writes its record, reads the orders, acts, and so on. The first record that is read
    after the orders were written may be older than they are, and so may the orders that its host
    read next. The record after that was written before they were carried out. The one after that
    shows a host that has obeyed.

    Args:
      silent_s: seconds for which hosts were known to be silent before the first reading.
    """

    def __init__(self, heartbeat_s: float, *, silent_s: Mapping[int, float] = NO_SILENCE) -> None:
        self._heartbeat_s = heartbeat_s
        self._silent_s = dict(silent_s)
        self._hosts: dict[int, _Host] = {}
        self._has_orders = False
        self.watched_s = 0.0

    def wrote_orders(self) -> None:
        """Notes that the orders have changed: no record shows yet that they were obeyed."""
        self._has_orders = True
        for host in self._hosts.values():
            host.first_beat, host.has_obeyed = None, False

    def update(self, records: Mapping[int, HostRecord], elapsed_s: float) -> None:
        """Takes the records of one reading, `elapsed_s` after the last one."""
        self.watched_s += elapsed_s
        for number, record in records.items():
            host = self._hosts.get(number)
            if host is None:
                silent_s = self._silent_s.get(number, 0.0)
                self._hosts[number] = _Host(record, silent_s=silent_s, first_beat=record.beat)
                continue
            before, host.record = host.record, record
            if (record.boot, record.beat) == (before.boot, before.beat):
                host.silent_s += elapsed_s
            else:
                is_back = host.silent_s > self._heartbeat_s or not host.has_beaten
                host.present_s = 0.0 if is_back else host.present_s + elapsed_s
                host.silent_s = 0.0
                host.has_beaten = True
            if record.boot != before.boot:
                host.is_ours, host.first_beat = False, None
            if host.first_beat is None:
                host.first_beat = record.beat
            host.has_obeyed = self._has_orders and record.beat >= host.first_beat + 2
            host.is_ours |= host.has_obeyed
        for number in self._hosts.keys() - records.keys():
            self._hosts[number].silent_s += elapsed_s

    def seen(self) -> dict[int, Seen]:
        """Returns every host that has a record."""
        return {
            number: Seen(
                record=host.record,
                silent_s=host.silent_s,
                present_s=host.present_s,
                has_beaten=host.has_beaten,
                has_obeyed=host.has_obeyed,
                is_ours=host.is_ours,
            )
            for number, host in self._hosts.items()
        }
