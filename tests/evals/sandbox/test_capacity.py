"""As many programs as cores and memory allow."""

from pathlib import Path

import pytest

from codepretrain.evals.sandbox import capacity


def test_memory_bounds_what_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "num_cores", lambda: 8)
    monkeypatch.setattr(capacity, "available_bytes", lambda: 3500)
    assert [capacity.num_parallel(size) for size in (100, 1000, 5000)] == [8, 3, 1]


def test_a_container_has_less_memory_than_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "/proc/meminfo": "MemTotal: 90 kB\nMemAvailable:   64 kB\n",
        "/sys/fs/cgroup/memory.max": "40000\n",
        "/sys/fs/cgroup/memory.current": "10000\n",
    }
    monkeypatch.setattr(capacity, "_text", lambda path: files.get(path, ""))
    assert capacity.available_bytes() == 30000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert capacity.available_bytes() == 64 << 10
    files["/sys/fs/cgroup/memory.max"] = "9000\n"
    assert capacity.available_bytes() == 0
    assert capacity.num_parallel(1) == 1
    files.clear()
    assert capacity.num_parallel(1 << 30) == capacity.num_cores()  # unknown: not bounded


def test_this_machine() -> None:
    assert capacity.num_cores() >= 1
    assert capacity.available_bytes() > 1 << 20
