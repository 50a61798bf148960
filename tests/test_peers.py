"""Messages between the processes of a run, each played by a thread of this one."""

import random
import threading
import time

import pytest

from codepretrain.peers import Peers
from tests.fixtures.coordination import Service


class Process:
    """A process with a training loop, or one that is not in it."""

    def __init__(self, service: Service, index: int, count: int, *, defers: bool = True) -> None:
        self.signals: list[int] = []
        self.exits: list[tuple[int, str]] = []
        self.has_heard = threading.Event()

        def on_stop(number: int) -> bool:
            self.signals.append(number)
            return defers

        def on_exit(code: int, text: str) -> None:
            self.exits.append((code, text))
            self.has_heard.set()

        self.peers = Peers(
            service, process_index=index, process_count=count, on_stop=on_stop, on_exit=on_exit
        )


def stop_steps(processes: list[Process], *, speed: random.Random) -> list[int]:
    """Returns the step at which each process stops, when the last gets a signal at its step 20."""
    steps = [0] * len(processes)
    together = threading.Barrier(len(processes))  # a step is a collective operation

    def train(index: int, seed: int) -> None:
        rng = random.Random(seed)
        while True:
            together.wait(30)
            steps[index] += 1
            time.sleep(rng.uniform(0, 0.002))
            if index == len(processes) - 1 and steps[index] == 20:
                processes[index].peers.announce_stop(15)
            if processes[index].peers.reached_stop():
                return

    threads = [
        threading.Thread(target=train, args=(index, speed.randrange(100)), daemon=True)
        for index in range(len(processes))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return steps


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 5])
def test_all_stop_at_the_same_step(service: Service, count: int, seed: int) -> None:
    processes = [Process(service, index, count) for index in range(count)]
    steps = stop_steps(processes, speed=random.Random(seed))
    assert len(set(steps)) == 1
    assert steps[0] >= 20
    assert [process.signals for process in processes] == [[15]] * count
    assert all(process.peers.has_agreed for process in processes)
    assert all(process.peers.reached_stop() for process in processes)


def test_signals_to_all_are_one_stop(service: Service) -> None:
    processes = [Process(service, index, 4) for index in range(4)]
    for number, process in enumerate(processes):
        process.peers.announce_stop(15 if number % 2 else 2)
    deadline = time.monotonic() + 30
    while not all(process.peers.has_agreed for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len({tuple(process.signals) for process in processes}) == 1
    assert len(processes[0].signals) == 1
    assert all(process.peers.reached_stop() for process in processes)


def test_a_process_that_has_nothing_to_save_ends_the_others(service: Service) -> None:
    """Process 0 compiles while process 1 waits for it in its first step."""
    compiling = Process(service, 0, 2, defers=False)
    waiting = Process(service, 1, 2)
    waiting.peers.announce_stop(15)
    assert waiting.has_heard.wait(30)
    assert waiting.exits == [(143, "process 0: stopped by a signal")]
    assert compiling.exits == []


def test_the_first_failure_counts(service: Service) -> None:
    processes = [Process(service, index, 3) for index in range(3)]
    processes[1].peers.announce_exit(2, "the disk is full")
    processes[2].peers.announce_exit(1, "Gloo: connection reset by peer")
    expected = (2, "process 1: the disk is full")
    for process in processes:
        assert process.peers.wait_for_exit_message(30) == expected
    assert processes[0].has_heard.wait(30)
    assert [process.exits for process in processes] == [[expected], [], [expected]]


def test_a_failure_after_a_stop_is_heard(service: Service) -> None:
    """One process cannot save: the others do not wait for it."""
    processes = [Process(service, index, 2) for index in range(2)]
    stop_steps(processes, speed=random.Random(0))
    processes[1].peers.announce_exit(2, "the disk is full")
    assert processes[0].has_heard.wait(30)
    assert processes[0].exits == [(2, "process 1: the disk is full")]


def test_process_0_leaves_last(service: Service) -> None:
    processes = [Process(service, index, 3) for index in range(3)]
    left: list[int] = []

    def leave(index: int) -> None:
        processes[index].peers.say_farewell()
        left.append(index)

    threads = [threading.Thread(target=leave, args=(index,)) for index in (0, 1, 2)]
    threads[0].start()
    time.sleep(0.1)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert left[-1] == 0


def test_without_the_service_nothing_hangs_or_raises(service: Service) -> None:
    process = Process(service, 1, 2)
    service.close()
    process.peers.announce_stop(15)
    process.peers.announce_exit(2, "the disk is full")
    process.peers.wait_for_all(1.0)
    process.peers.say_farewell()


def test_a_lost_process_ends_all(service: Service) -> None:
    processes = [Process(service, index, 3) for index in range(3)]
    processes[0].peers.report_lost(1, "is silent")
    for process in processes:
        assert process.has_heard.wait(30)
        [(code, text)] = process.exits
        assert code == 3
        assert text.startswith("process 1 of 3 is silent: it was killed, it hangs, or ")
        assert process.peers.exit_message == (code, text)


def test_process_0_waits_for_no_farewell_of_a_lost_process(service: Service) -> None:
    processes = [Process(service, index, 3) for index in range(3)]
    processes[0].peers.report_lost(1, "is silent")
    assert processes[0].has_heard.wait(30)
    processes[2].peers.say_farewell()
    processes[0].peers.say_farewell()
    assert [key for key in service.asked if "farewell" in key] == ["codepretrain-peers/farewell/2"]


def test_without_process_0_each_ends_alone(service: Service) -> None:
    processes = [Process(service, index, 3) for index in range(3)]
    processes[2].peers.report_lost(0, "is silent")
    assert [code for code, _ in processes[2].exits] == [3]
    assert processes[1].exits == []
    service.close()
    assert processes[1].has_heard.wait(30)
    [(code, text)] = processes[1].exits
    assert code == 3
    assert text.startswith("process 0 of 3 has ended without a message: ")
    assert len(processes[2].exits) == 1
    assert processes[0].exits == []


def test_a_service_that_ends_after_the_farewell_is_no_loss(service: Service) -> None:
    processes = [Process(service, index, 2) for index in range(2)]
    processes[1].peers.say_farewell()
    service.close()
    assert processes[1].peers.wait_for_exit_message(0.2) is None
    assert processes[1].exits == []
