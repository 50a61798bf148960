"""The tables of transitions."""

from codepretrain.launch.states import JOB_TRANSITIONS, OVER, STAGE_TRANSITIONS


def reachable(table, start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for state in table[waiting.pop()]:
            if state not in found:
                found.add(state)
                waiting.append(state)
    return found


def test_every_state_is_reached_and_every_target_is_a_state() -> None:
    for table, start in ((JOB_TRANSITIONS, "PLANNED"), (STAGE_TRANSITIONS, "WAITING")):
        assert reachable(table, start) == set(table)


def test_what_is_done_stays_done() -> None:
    assert JOB_TRANSITIONS["DONE"] == STAGE_TRANSITIONS["DONE"] == ()
    for state in OVER - {"DONE"}:
        assert JOB_TRANSITIONS[state] == ("QUEUED",)


def test_a_restart_goes_through_starting() -> None:
    assert "RUNNING" not in JOB_TRANSITIONS["RESTARTING"]
    assert "RUNNING" not in STAGE_TRANSITIONS["RESTARTING"]
