"""The tables of phases, rows read, packing and time, as rows of text."""

from collections.abc import Mapping
from typing import Any

from codepretrain.metrics.stopwatch import TIME_KINDS
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.wording import (
    NOT_THERE,
    bytes_text,
    duration_text,
    number,
    rate_text,
    signed,
    tokens_text,
)

LAST_LOSSES = 20  # logged losses whose mean is a phase's training loss


def status_text(run: RunResults) -> str:
    """Returns "complete", "missing" or the step that an unfinished run reached."""
    if run.status == "incomplete":
        unsaved = ", not saved" if run.last_step >= run.plan.steps else ""
        return f"step {run.last_step:,} of {run.plan.steps:,}{unsaved}"
    return run.status


def variant_status(results: StudyResults, variant: str) -> str:
    """Returns "complete", or how far the last phases of a variant's replicates are."""
    runs = [path[-1] for path in results.replicates(variant)]
    complete = sum(run.status == "complete" for run in runs)
    if complete == len(runs):
        return "complete"
    return status_text(runs[0]) if len(runs) == 1 else f"{complete} of {len(runs)} replicates"


def parent_text(results: StudyResults, run: RunResults) -> str:
    """Returns where the phase's first parameters come from."""
    plan = run.plan
    if plan.initial_checkpoint is not None:
        return f"imported {plan.initial_checkpoint}"
    if plan.parent is None:
        return "random parameters"
    if plan.parent_step == results.runs[plan.parent].plan.steps:
        return plan.parent
    return f"{plan.parent} at step {plan.parent_step:,}"


def phase_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Returns one row per phase: its plan and its final training loss."""
    return [_phase_row(results, run) for run in results.runs.values()]


def _phase_row(results: StudyResults, run: RunResults) -> dict[str, Any]:
    plan, rate = run.plan, run.plan.learning_rate
    losses = [record["loss"] for record in run.log if "loss" in record][-LAST_LOSSES:]
    beyond = plan.tokens - plan.requested_tokens
    return {
        "name": run.name,
        "status": run.status,
        "status_text": status_text(run),
        "parent": parent_text(results, run),
        "steps": f"{plan.steps:,}",
        "tokens": tokens_text(plan.tokens),
        "beyond": f"{beyond:+,} relative to budget".replace("-", "−") if beyond else "",
        "sources": [
            (source, tokens_text(tokens), _epochs_text(plan.epochs_per_source.get(source)))
            for source, tokens in plan.tokens_per_source.items()
        ],
        "learning_rate": " → ".join(rate_text(rate[k]) for k in ("start", "peak", "end")),
        "loss": number(sum(losses) / len(losses)) if losses else NOT_THERE,
        "skipped": f"{num_skipped(run):,}",
        "fingerprint": plan.fingerprint[:12],
    }


def num_skipped(run: RunResults) -> int:
    """Returns how many updates the run skipped; the log counts them from the phase's start."""
    return int(max([record.get("num_skipped", 0) for record in run.log], default=0))


def skipped_rows(results: StudyResults) -> list[tuple[str, str, int]]:
    """Returns the skipped updates as (phase, logged steps that contain them, how many)."""
    found: list[tuple[str, int, int, int]] = []  # phase, first, last, count
    for run in results.runs.values():
        step, so_far = 0, 0
        for record in run.log:
            count = int(record.get("num_skipped", so_far))
            if count > so_far:
                first, more = step + 1, count - so_far
                if found and found[-1][0] == run.name and found[-1][2] == step:
                    _, first, _, earlier = found.pop()
                    more += earlier
                found.append((run.name, first, record["step"], more))
            step, so_far = record["step"], max(so_far, count)
    return [(name, _range(first, last), count) for name, first, last, count in found]


def _range(first: int, last: int) -> str:
    return f"step {first:,}" if first == last else f"steps {first:,} – {last:,}"


def ledger_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Returns the rows requested and read, per phase and source."""
    rows = []
    for run in results.runs.values():
        for source, entry in run.ledger.sources.items() if run.ledger else ():
            rows.append(
                {
                    "phase": run.name,
                    "source": source,
                    "requested": f"{entry.requested_rows:,.1f}",
                    "rows": f"{entry.rows:,}",
                    "difference": signed(entry.rows - entry.requested_rows, digits=1),
                    "tokens": tokens_text(entry.tokens),
                    "target_tokens": tokens_text(entry.target_tokens),
                    "documents": f"{entry.documents:,}",
                    "bytes": bytes_text(entry.bytes),
                    "epochs": f"{entry.epochs:.2f}",
                }
            )
    return rows


def packing_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Returns the contents of the rows of each source and split, and the packing efficiency."""
    rows = []
    for source, splits in results.manifests.items():
        for split, manifest in splits.items():
            share = manifest.num_split_documents / max(1, manifest.num_documents)
            rows.append(
                {
                    "source": source,
                    "split": split,
                    "packing": manifest.packing.replace("_", " "),
                    "documents": f"{manifest.num_documents:,}",
                    "bytes": bytes_text(manifest.num_bytes),
                    "tokens": tokens_text(manifest.num_tokens),
                    "rows": f"{manifest.num_rows:,}",
                    "efficiency": f"{100 * manifest.efficiency:.1f}%",
                    "truncated": f"{manifest.num_split_documents:,} ({100 * share:.1f}%)",
                    "hash": manifest.hash,
                    "tokenizer_hash": manifest.tokenizer_hash,
                    "identity": manifest.identity,
                }
            )
    return rows


def time_seconds(run: RunResults) -> dict[str, float]:
    """Returns the seconds of all sessions by kind."""
    return {kind: sum(s["seconds"].get(kind, 0.0) for s in run.sessions) for kind in TIME_KINDS}


def device_seconds(run: RunResults) -> float | None:
    """Returns the seconds of all sessions times their devices, None if a session lacks these."""
    devices = {start.get("start"): start.get("num_devices") for start in run.starts}
    found = [(session, devices.get(session["session"])) for session in run.sessions]
    if any(number is None for _, number in found):
        return None
    return float(sum(sum(session["seconds"].values()) * (n or 0) for session, n in found))


def tokens_per_s(run: RunResults) -> float | None:
    """Returns tokens trained, repeated ones included, per second of training and waiting."""
    seconds = time_seconds(run)
    busy = seconds["train"] + seconds["wait_for_data"]
    steps = sum(session["last_step"] - session["first_step"] for session in run.sessions)
    return steps * run.plan.step_tokens / busy if busy and steps else None


def time_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Returns time by kind per run, and the total; a run with two names is counted once."""
    runs = {run.plan.run_dir: run for run in results.runs.values() if run.sessions}
    rows = [_time_row(run.name, time_seconds(run), run) for run in runs.values()]
    if len(rows) > 1:
        seconds = [time_seconds(run) for run in runs.values()]
        total = {kind: sum(s[kind] for s in seconds) for kind in TIME_KINDS}
        rows.append(_time_row("all phases", total, None))
    return rows


def _time_row(name: str, seconds: Mapping[str, float], run: RunResults | None) -> dict[str, Any]:
    total = sum(seconds.values())
    speed = tokens_per_s(run) if run else None
    return {
        "name": name,
        "total": duration_text(total),
        "sessions": f"{len(run.sessions)}" if run else "",
        "tokens_per_s": tokens_text(speed) if speed else "",
        "kinds": [
            (kind, duration_text(s), f"{100 * s / total:.2f}" if total else "0")
            for kind, s in seconds.items()
        ],
    }


def _epochs_text(epochs: float | None) -> str:
    return "?" if epochs is None else f"{epochs:.2f} epochs"
