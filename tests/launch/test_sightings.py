"""What a conductor knows of a host, by its own clock."""

from codepretrain.launch.records import HostRecord
from codepretrain.launch.sightings import Seen, Sightings


def record(beat: int, boot: str = "a") -> HostRecord:
    return HostRecord(host=0, boot=boot, beat=beat, address="h:1")


def see(sightings: Sightings, beat: int | None, boot: str = "a", elapsed_s: float = 1.0) -> Seen:
    sightings.update({} if beat is None else {0: record(beat, boot)}, elapsed_s)
    return sightings.seen()[0]


def test_silence_begins_with_the_first_reading() -> None:
    sightings = Sightings(20.0)
    assert see(sightings, 7) == Seen(
        record=record(7),
        silent_s=0.0,
        present_s=0.0,
        has_beaten=False,
        has_obeyed=False,
        is_ours=False,
    )
    assert see(sightings, 7).silent_s == 1.0
    assert see(sightings, None, elapsed_s=4.0).silent_s == 5.0  # its record was removed
    seen = see(sightings, 8)
    assert (seen.silent_s, seen.has_beaten) == (0.0, True)
    assert sightings.watched_s == 7.0


def test_a_host_is_present_from_its_return_on() -> None:
    sightings = Sightings(20.0)
    for beat in range(4):
        present_s = see(sightings, beat).present_s
    assert present_s == 2.0
    for _ in range(21):
        see(sightings, 3)
    assert see(sightings, 4).present_s == 0.0
    assert see(sightings, 5).present_s == 1.0


def test_orders_are_obeyed_two_beats_after_the_first_reading() -> None:
    sightings = Sightings(20.0)
    assert not any(see(sightings, beat).has_obeyed for beat in range(1, 6))  # no orders yet
    sightings.wrote_orders()
    found = [see(sightings, beat).has_obeyed for beat in (5, 6, 6, 7, 8)]
    assert found == [False, False, False, True, True]
    sightings.wrote_orders()
    seen = see(sightings, 12)
    assert (seen.has_obeyed, seen.is_ours) == (False, True)
    assert see(sightings, 14).has_obeyed


def test_a_supervisor_that_was_started_again_has_obeyed_nothing() -> None:
    sightings = Sightings(20.0)
    see(sightings, 1)
    sightings.wrote_orders()
    assert [see(sightings, beat).is_ours for beat in (1, 2, 3)] == [False, False, True]
    found = [see(sightings, beat, "b") for beat in (1, 2, 3)]
    assert [seen.is_ours for seen in found] == [False, False, True]
    assert [seen.has_obeyed for seen in found] == [False, False, True]


def test_silence_that_was_known_before_ends_with_the_first_sign_of_life() -> None:
    sightings = Sightings(20.0, silent_s={0: 10.0})
    assert see(sightings, 7).silent_s == 10.0
    assert see(sightings, 7).silent_s == 11.0
    assert see(sightings, 8).silent_s == 0.0
    assert see(sightings, 8).silent_s == 1.0
