"""The model card of an exported checkpoint: README.md of a Hugging Face model folder.

A YAML header, which the Hub reads, and Markdown for people. Every value is one that the study
recorded; what it did not record is called absent. Two exports of one checkpoint have the same card
unless more of it was evaluated in between.

Fields of the header: huggingface/hub-docs, modelcard.md; huggingface_hub, repocard_data.py.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from codepretrain.report.card_facts import CardFacts
from codepretrain.report.card_sections import (
    ABSENT,
    data_parts,
    evaluation_parts,
    model_rows,
    recipe_parts,
    scores,
    table,
)
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.wording import listed


def model_card(facts: CardFacts, *, dtype: str, weights_sha256: str) -> str:
    """Returns the card.

    Args:
      dtype: of the exported weights. weights_sha256: their hash, as in `codepretrain.json`.
    """
    title = f"{facts.study}: {facts.phase} at step {facts.step:,}"
    parts = [
        _header(facts),
        f"# {title}",
        f"A decoder language model of {facts.num_parameters:,} parameters, written by "
        f"`codepretrain export` from a checkpoint of the pre-training study `{facts.study}`. "
        "Every number is from the study's records; what they lack is called absent.",
        "## Model",
        table(["", ""], model_rows(facts, dtype)),
        "## Training data",
        *data_parts(facts),
        "## Phases and recipe",
        *recipe_parts(facts),
        "## Evaluations",
        *evaluation_parts(facts),
        "## Limitations",
        "\n".join(f"- {line}" for line in _limitations(facts)),
        "## Provenance",
        table(["", ""], _provenance(facts, weights_sha256)),
    ]
    return "\n\n".join(parts) + "\n"


def _header(facts: CardFacts) -> str:
    """Returns the YAML header; JSON is YAML, too."""
    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["codepretrain", "cohere"],
    }
    results = [_result(e) for e in facts.evaluations]
    results = [result for result in results if result["metrics"]]
    if results:
        fields["model-index"] = [
            {"name": f"{facts.study}/{facts.phase}@{facts.step}", "results": results}
        ]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _result(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "task": {"type": "text-generation"},
        "dataset": {
            "type": evaluation.evaluator,
            "name": evaluation.evaluator,
            "args": {"digest": evaluation.digest},
        },
        "metrics": [
            {
                "type": row.name,
                "name": f"{row.name} ({row.unit})",
                "value": metric.value,
                "args": {
                    "interval": [interval.low, interval.high],
                    "num_items": metric.num_items,
                },
            }
            for row, metric, interval in scores(evaluation)
            if row.is_primary
            and all(map(math.isfinite, (metric.value, interval.low, interval.high)))
        ],
    }


def _limitations(facts: CardFacts) -> Iterator[str]:
    yield (
        "It was trained on the phases above and on nothing else: on no instructions beyond what "
        "these sources hold, and on no preferences."
    )
    if facts.initial is not None:
        yield f"The data of the imported model `{facts.initial[0]}` is not known here."
    if facts.step != facts.num_steps:
        yield f"The phase is unfinished here: step {facts.step:,} of {facts.num_steps:,}."
    for name, reason in facts.not_evaluated.items():
        yield f"Not evaluated: {name}, {reason}."
    if not facts.evaluations and not facts.not_evaluated:
        yield "Not evaluated: the study names no evaluation."
    if facts.sought:
        yield (
            f"Training documents that share {facts.ngram_words} words in a row with the evaluation "
            f"sets {listed(facts.sought)} were dropped. Other copies of their texts, such as "
            "translations, were not sought."
        )
    else:
        yield "No evaluation set was sought in the training data (no decontamination)."
    for name, sets in facts.benchmarks.items():
        if missing := [one for one in sets if one not in facts.sought]:
            names = listed(missing)
            yield f"The items of {name} are from {names}, not sought in the training data."
    if facts.num_replicates == 1:
        yield "The recipe was trained once: how much other seeds change is not known."
    else:
        yield f"This is one of {facts.num_replicates} replicates of the recipe."
    yield f"Rows of training had at most {facts.max_seq_len:,} tokens."
    yield "The license of these weights is absent: the study states none."


def _provenance(facts: CardFacts, weights_sha256: str) -> list[tuple[str, str]]:
    start = facts.start
    devices = f"{start['num_devices']} × {start['device_kind']}" if "device_kind" in start else ""
    packages = ", ".join(f"{name} {of}" for name, of in start.get("packages", {}).items())
    digest = facts.ledger.get("digest", "")
    found = [
        ("study", facts.study),
        ("run", f"{facts.phase}-{facts.fingerprint[:12]}"),
        ("step", f"{facts.step:,} of {facts.num_steps:,}"),
        ("fingerprint", facts.fingerprint),
        ("trained by", start.get("code_version", "")),
        ("training command", start.get("command", "")),
        ("trained on", devices),
        ("packages", packages),
        ("exported by", facts.code_version),
        ("export command", facts.command),
        ("initial weights, sha256", facts.initial[1] if facts.initial else "random parameters"),
        ("digest of the rows read", digest),
        ("row manifests", "; ".join(f"{k} {v}" for k, v in _manifests(facts))),
        ("tokenizer, sha256", facts.tokenizer_sha256),
        ("weights, sha256", weights_sha256),
    ]
    return [(name, f"`{value}`" if value else ABSENT) for name, value in found]


def _manifests(facts: CardFacts) -> list[tuple[str, str]]:
    return sorted(facts.ledger.get("manifests", {}).items())
