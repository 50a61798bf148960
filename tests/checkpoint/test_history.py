"""The journal of commits and deletions."""

from pathlib import Path

from codepretrain.checkpoint.history import History, history_path, last_events


def test_the_newest_event_of_each_step(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    path = history_path(checkpoints)
    assert path == str(tmp_path / "checkpoints.jsonl")
    assert last_events(path) == {}
    history = History(checkpoints, present=())
    history.append("committed", [1, 2])
    history.append("deleted", [1])
    history.close()
    assert last_events(path) == {1: "deleted", 2: "committed"}
    again = History(checkpoints, present=[1, 2, 3])  # 1 and 3 are there all the same
    again.append("given_up", [2])
    again.close()
    assert last_events(path) == {1: "committed", 2: "given_up", 3: "committed"}
