"""The sections of a model card that are tables, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codepretrain.evals.metric import Metric
from codepretrain.inference.interval import Interval
from codepretrain.report.card_facts import CardFacts, CardPhase, CardSource
from codepretrain.report.cells import MetricRow, metric_interval
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.wording import (
    NOT_THERE,
    interval_text,
    rate_text,
    tokens_text,
    value_text,
)
from codepretrain.rows.document_tallies import Tally

ABSENT = "absent"
_MAX_LICENSES = 12  # of a source, listed one by one


def scores(evaluation: Evaluation) -> Iterator[tuple[MetricRow, Metric, Interval]]:
    """Yields the scores of an evaluation, each with its interval over items."""
    for name, metric in evaluation.metrics.items():
        row = MetricRow.of(evaluation.evaluator, name, metric)
        if row.is_score:
            interval = metric_interval(row, metric)
            yield row, metric, interval


def model_rows(facts: CardFacts, dtype: str) -> list[tuple[str, str]]:
    """Returns the shape of the model. dtype: of the exported weights."""
    model = facts.model
    return [
        ("architecture", "Cohere (`CohereForCausalLM`): attention and SwiGLU in parallel"),
        ("parameters", f"{facts.num_parameters:,}"),
        ("parameters without embeddings", f"{facts.num_parameters_non_embedding:,}"),
        ("layers", f"{model['num_layers']:,}"),
        ("model and hidden size", f"{model['d_model']:,} and {model['d_ff']:,}"),
        (
            "query and key-value heads",
            f"{model['num_heads']:,} and {model['num_kv_heads']:,} of {model['head_dim']:,}",
        ),
        ("vocabulary", f"{model['vocab_size']:,}"),
        ("longest row in training", f"{facts.max_seq_len:,} tokens"),
        ("computed in", f"{model['compute_dtype']}, parameters in float32"),
        ("these files", dtype),
    ]


def data_parts(facts: CardFacts) -> Iterator[str]:
    """Yields what was read: tokens, licenses, and the checkpoint's ledger."""
    total = sum(source.tokens for source in facts.sources)
    yield (
        f"{facts.tokens:,} tokens on the way from {_origin(facts)}, repeated ones included. Tokens "
        "are positions of rows. Epochs are tokens read over tokens in the source's training rows."
    )
    yield table(
        ["Source", "Kind", "Reader", "Tokens read", "Share", "Available", "Epochs"],
        [
            (
                source.name,
                source.kind,
                source.reader,
                f"{source.tokens:,}",
                f"{100 * source.tokens / total:.1f}%" if total else NOT_THERE,
                ABSENT if source.available is None else f"{source.available:,}",
                f"{source.tokens / source.available:.2f}" if source.available else ABSENT,
            )
            for source in facts.sources
        ],
    )
    yield "Licenses of the documents in the training rows, as their corpora state them:"
    yield table(
        ["Source", "License", "Documents", "Tokens", "Examined"],
        [row for source in facts.sources for row in _license_rows(source)],
    )
    ledger = facts.ledger.get("sources", {})
    if ledger:
        yield f"The ledger of the checkpoint, of the phase `{facts.phase}` alone:"
        yield table(
            ["Source", "Rows requested", "Rows read", "Tokens", "Targets", "Documents", "Bytes"],
            [
                (
                    source,
                    f"{entry['requested_rows']:,.1f}",
                    *(
                        f"{entry[name]:,}"
                        for name in ("rows", "tokens", "target_tokens", "documents", "bytes")
                    ),
                )
                for source, entry in ledger.items()
            ],
        )


def _license_rows(source: CardSource) -> Iterator[tuple[str, ...]]:
    found = source.licenses
    if isinstance(found, str):
        yield source.name, f"{ABSENT}: {found}", "", "", ""
        return
    examined = f"{found.num_examined:,} of {found.num_documents:,}"
    tallies = list(found.by_value.items())
    for value, tally in tallies[:_MAX_LICENSES]:
        name = value or f"{ABSENT}: the corpus states none"
        yield source.name, name, f"{tally.num_documents:,}", f"{tally.num_tokens:,}", examined
    if rest := [tally for _, tally in tallies[_MAX_LICENSES:]]:
        of = sum(rest, Tally())
        name = f"{len(rest)} others"
        yield source.name, name, f"{of.num_documents:,}", f"{of.num_tokens:,}", examined


def _origin(facts: CardFacts) -> str:
    return "random parameters" if facts.initial is None else f"the imported `{facts.initial[0]}`"


def recipe_parts(facts: CardFacts) -> Iterator[str]:
    """Yields the phases on the way to the checkpoint, and the optimizer."""
    yield table(
        [
            "Phase",
            "Starts from",
            "Steps",
            "Tokens",
            "Mixture",
            "Data seed",
            "Learning rate",
            "Warm-up",
        ],
        [_phase_row(phase) for phase in facts.phases],
    )
    optimizer = ", ".join(f"{name} {value}" for name, value in facts.optimizer.items())
    yield (
        f"AdamW ({optimizer}); {facts.batch_size:,} rows of {facts.max_seq_len:,} tokens in a "
        "batch."
    )


def _phase_row(phase: CardPhase) -> tuple[str, ...]:
    plan, rate = phase.plan, phase.plan["learning_rate"]
    members = plan.get("members") or ()
    if members:
        start = "average of " + ", ".join(
            f"{m['phase']} at step {m['step']:,} (weight {m['weight']:.4g})" for m in members
        )
    elif plan["initial_checkpoint"] is not None:
        start = f"imported {plan['initial_checkpoint']}"
    elif plan["parent"] is None:
        start = f"random parameters (seed {phase.seeds[0]})"
    else:
        start = f"{plan['parent']} at step {plan['parent_step']:,}"
    used = f"{phase.step:,}"
    if phase.step != plan["steps"]:
        used += f" of {plan['steps']:,}"
    return (
        plan["name"],
        start,
        used,
        tokens_text(phase.tokens),
        "; ".join(_stage(stage) for stage in phase.mixture) or NOT_THERE,
        f"{phase.seeds[1]}" if phase.mixture else NOT_THERE,
        " → ".join(rate_text(rate[name]) for name in ("start", "peak", "end"))
        if rate
        else NOT_THERE,
        f"{rate['warmup_steps']:,} steps" if rate else NOT_THERE,
    )


def _stage(stage: Mapping[str, Any]) -> str:
    weights = stage["weights"]
    total = sum(weights.values())
    text = ", ".join(f"{source} {100 * w / total:.3g}%" for source, w in weights.items() if w)
    return f"from {tokens_text(stage['start_tokens'])}: {text}" if stage["start_tokens"] else text


def evaluation_parts(facts: CardFacts) -> Iterator[str]:
    """Yields the scores at the step of the checkpoint."""
    rows = [
        (
            row.evaluator,
            row.name,
            value_text(row, metric.value),
            interval_text(row, interval),
            "%" if row.is_percentage else row.unit,
            f"{metric.num_items:,}",
            NOT_THERE if metric.null_value is None else value_text(row, metric.null_value),
            f"`{evaluation.digest[:12]}`",
        )
        for evaluation in facts.evaluations
        for row, metric, interval in scores(evaluation)
    ]
    if not rows:
        yield "Results at this step are absent."
        return
    yield (
        "Intervals are 95% intervals over evaluation items, of this one training run: runs of the "
        "same recipe with other seeds may differ by more. The digest is of the evaluation's "
        "settings, items, prompts and grader; only equal ones may be compared. Chance is what an "
        "answer without knowledge scores."
    )
    yield table(
        ["Evaluation", "Metric", "Value", "95% interval", "Unit", "Items", "Chance", "Digest"], rows
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Returns text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())
