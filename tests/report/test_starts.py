from dataclasses import replace

from codepretrain.files import journal
from codepretrain.metrics.starts import record_start
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.page import render
from codepretrain.report.starts import start_rows
from tests.report.replicated import content

CPU = {
    "command": "codepretrain run",
    "host": "a",
    "device_kind": "cpu",
    "num_devices": 8,
    "code_version": "0.1.0+abc",
    "environment": {},
    "execution": {"remat_policy": "none"},
    "packages": {"jax": "0.10.2", "jaxlib": "0.10.2"},
}
OTHER = {
    **CPU,
    "command": "codepretrain train",
    "host": "b",
    "code_version": "0.1.0+abc.edited",
    "environment": {"XLA_FLAGS": "--xla_x"},
    "packages": {"jax": "0.10.3", "jaxlib": "0.10.2", "libtpu": "0.0.42"},
}


def with_starts(results, *starts):
    run = replace(results.runs["text_pretrain"], starts=starts)
    return replace(results, runs={**results.runs, "text_pretrain": run})


def start(number, purpose, provenance):
    stamp = f"2026-01-01T00:0{number}:00+00:00"
    return {"start": number, "started_at": stamp, "purpose": purpose, **provenance}


def test_starts_that_differ_tell_where(results):
    starts = start(0, "train", CPU), start(1, "train", OTHER), start(2, "evaluate", CPU)
    first, second, third = start_rows(with_starts(results, *starts))
    assert first["run"] == "text_pretrain"
    assert first["machine"] == "8 × cpu, jax 0.10.2, code 0.1.0+abc"
    assert first["differences"] == third["differences"] == []
    assert second["differences"] == [
        ("code_version", "0.1.0+abc", "0.1.0+abc.edited"),
        ("environment.XLA_FLAGS", "none", "--xla_x"),
        ("packages.jax", "0.10.2", "0.10.3"),
        ("packages.libtpu", "none", "0.0.42"),
    ]
    sessions = results.runs["text_pretrain"].sessions
    expected = [f"{s['first_step']} – {s['last_step']}" for s in sessions]
    assert [row["steps"] for row in (first, second, third)] == [*expected, ""]


def test_the_page_shows_them(results):
    shown = with_starts(results, start(0, "train", CPU), start(1, "train", OTHER))
    page = render(content(shown, compare_to_baseline(shown)))
    assert "<h2>Starts</h2>" in page
    assert "0.10.2 → 0.10.3" in page
    assert "<h2>Starts</h2>" not in render(content(results, compare_to_baseline(results)))


def test_they_are_read_from_the_run(study, tmp_path):
    plan = replace(study.phases["text_pretrain"], run_dir=str(tmp_path))
    record_start(tmp_path / "starts.jsonl", "train", CPU)
    found = collect(replace(study, phases={**study.phases, "text_pretrain": plan}))
    assert list(found.runs["text_pretrain"].starts) == journal.read(tmp_path / "starts.jsonl")
