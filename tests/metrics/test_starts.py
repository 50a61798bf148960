from codepretrain.files import journal
from codepretrain.metrics.starts import record_start


def test_every_start_is_kept(tmp_path):
    path = tmp_path / "starts.jsonl"
    assert record_start(path, "train", {"packages": {"jax": "0.10.2"}}) == 0
    assert record_start(path, "evaluate", {"packages": {"jax": "0.10.2"}}) == 1
    assert record_start(path, "train", {"packages": {"jax": "0.10.3"}}) == 2
    starts = journal.read(path)
    assert [(s["start"], s["purpose"], s["packages"]["jax"]) for s in starts] == [
        (0, "train", "0.10.2"),
        (1, "evaluate", "0.10.2"),
        (2, "train", "0.10.3"),
    ]
    assert all(s["started_at"].endswith("+00:00") for s in starts)
