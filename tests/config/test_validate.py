"""Rules that involve several fields of a study."""

import dataclasses
from typing import Any

import pytest

from codepretrain.config.parse import parse
from codepretrain.config.schema import PhaseConfig, StudyConfig
from codepretrain.config.validate import check, check_import_name
from codepretrain.errors import UserError
from tests.configs import CONSTANT, STEP_TOKENS, small_study, small_values

PHASE = PhaseConfig(tokens=10 * STEP_TOKENS, mixture={"text": 1.0}, schedule=CONSTANT)


def changed(section: str, **fields: Any) -> StudyConfig:
    values = small_values()
    values[section] = {**values.get(section, {}), **fields}
    return parse(StudyConfig, values)


def tokenizer(**fields: Any) -> StudyConfig:
    config = small_study()
    changed = dataclasses.replace(config.data.tokenizer, **fields)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, tokenizer=changed))


def phases(**phases: PhaseConfig) -> StudyConfig:
    return small_study(phases)


def child(parent: str, **fields: Any) -> PhaseConfig:
    return dataclasses.replace(PHASE, parent=parent, **fields)


def evaluated(known: dict[str, str], **fields: Any) -> StudyConfig:
    """A study with an evaluator, and training data without the text of evaluation sets."""
    values = small_values()
    values["data"]["decontamination"] = {"benchmarks": known}
    values["evals"] = {"exam": {"kind": "multiple_choice", **fields}}
    return parse(StudyConfig, values)


def averaged(excluded: tuple[str, ...] = (), **fields: Any) -> StudyConfig:
    values = small_values()
    values["evals"] = {"exam": {"kind": "multiple_choice"}}
    values["averages"] = {"categories": {"code": ["exam"]}, "excluded": excluded, **fields}
    return parse(StudyConfig, values)


CASES = [
    (
        averaged(categories={"code": ["exams/accuracy"]}),
        "config.averages.categories.code[0]: there is no evaluation 'exams'; did you mean exam?",
    ),
    (
        averaged(categories={"code": []}),
        "config.averages.categories.code: expected at least one entry, got none",
    ),
    (
        averaged(categories={"code": ["exam", "exam"]}),
        "config.averages.categories.code[1]: 'exam' is there twice",
    ),
    (
        averaged(totals={"total": ["cod"]}),
        "config.averages.totals.total[0]: there is no category 'cod'; did you mean code?",
    ),
    (
        averaged(totals={"code": ["code"]}),
        "config.averages.totals.code: there is a category of this name, rename one",
    ),
    (
        averaged(excluded=("exam/accuracy",)),
        "config.averages.excluded[0]: there is no score in a category 'exam/accuracy'; expected "
        "one of: exam",
    ),
    (
        averaged(excluded=("exam",)),
        "config.averages.excluded: all scores of the category code are excluded, so it has no "
        "average: remove the category, or keep one of them",
    ),
    (
        evaluated({"questions": "q.jsonl"}, benchmarks=["questions", "question"]),
        "config.evals.exam.benchmarks[1]: expected an entry of "
        "config.data.decontamination.benchmarks, found 'question'; did you mean questions?; add "
        "config.data.decontamination.benchmarks.question with the file of its texts, or set "
        "config.evals.exam.allow_contamination",
    ),
    (
        evaluated({}, benchmarks=["code"]),
        "config.evals.exam.benchmarks[0]: expected an entry of "
        "config.data.decontamination.benchmarks, found 'code'; add "
        "config.data.decontamination.benchmarks.code with the file of its texts, or set "
        "config.evals.exam.allow_contamination",
    ),
    (
        evaluated({}, interval_steps=5, interval_tokens=10**6),
        "config.evals.exam has both interval_steps = 5 and interval_tokens = 1,000,000: expected "
        "one of them",
    ),
    (
        evaluated({}, interval_tokens=255),
        "config.evals.exam.interval_tokens = 255 is less than one step of 256 tokens (batch_size 4 "
        "× max_seq_len 64)",
    ),
    (
        evaluated({"Q": "q.jsonl"}),
        "config.data.decontamination.benchmarks: expected a name of lower-case letters, digits "
        "and _ that starts with a letter, at most 64 long, got 'Q'",
    ),
    (small_study(variants={}), "config.variants: expected at least one entry, got none"),
    (
        changed("variants", Annealed="anneal"),
        "config.variants: expected a name of lower-case letters, digits and _ that starts with "
        "a letter, at most 64 long, got 'Annealed'",
    ),
    (
        changed("model", num_heads=3, num_kv_heads=2),
        "config.model.num_heads = 3 is not divisible by config.model.num_kv_heads = 2",
    ),
    (
        changed("execution", num_microbatches=3),
        "config.training.batch_size = 4 is not divisible by config.execution.num_microbatches = 3",
    ),
    (
        changed("model", vocab_size=511),
        "config.data.tokenizer.vocab_size = 512 exceeds config.model.vocab_size = 511: the model "
        "would lack embeddings",
    ),
    (
        tokenizer(training_weights={"texts": 1.0}),
        "config.data.tokenizer.training_weights.texts: there is no source 'texts'; did you mean "
        "text?",
    ),
    (
        tokenizer(training_weights={"text": 0.0, "code": 0.0}),
        "config.data.tokenizer.training_weights: expected at least one source above 0",
    ),
    (
        phases(a=dataclasses.replace(PHASE, tokens=100)),
        "config.phases.a.tokens = 100 is less than one step of 256 tokens (batch_size 4 × "
        "max_seq_len 64)",
    ),
    (
        phases(a=dataclasses.replace(PHASE, tokens=2**32 * 64)),
        "config.phases.a.tokens = 274,877,906,944 is too long: expected fewer than "
        "274,877,906,688 (2**32 rows of 64 tokens); divide it into phases",
    ),
    (
        phases(a=dataclasses.replace(PHASE, mixture={"text": 0.0})),
        "config.phases.a.mixture: expected at least one positive weight, got {'text': 0.0}",
    ),
    (
        phases(a=dataclasses.replace(PHASE, mixture={"texts": 1.0})),
        "config.phases.a.mixture.texts: there is no source 'texts'; did you mean text?",
    ),
    (
        phases(a=dataclasses.replace(PHASE, parent_tokens=STEP_TOKENS)),
        "config.phases.a.parent_tokens is set, but config.phases.a.parent is not",
    ),
    (
        phases(a=PHASE, b=child("a", parent_tokens=11 * STEP_TOKENS)),
        "config.phases.b.parent_tokens = 2,816 exceeds config.phases.a.tokens = 2,560",
    ),
    (
        phases(a=PHASE, b=child("a", initial_checkpoint="base")),
        "config.phases.b has both a parent and an initial_checkpoint; it can start from one only",
    ),
    (
        phases(a=child("b"), b=child("a")),
        "config.phases.a.parent: the phases form a cycle: a → b → a",
    ),
    (phases(a=child("a")), "config.phases.a.parent: the phases form a cycle: a → a"),
    (
        phases(a=PHASE, b=child("c")),
        "config.phases.b.parent: there is no phase 'c'; expected one of: a, b",
    ),
    (
        small_study(baseline="anneal"),
        "config.baseline: there is no variant 'anneal'; did you mean annealed?",
    ),
]


@pytest.mark.parametrize(("config", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_refused(config: StudyConfig, message: str) -> None:
    with pytest.raises(UserError) as error:
        check(config)
    assert str(error.value) == message


def test_tokenizers() -> None:
    def with_tokenizer(**fields: Any) -> StudyConfig:
        return changed("data", tokenizer={"vocab_size": 512, **fields})

    with pytest.raises(UserError, match="vocab_size = 268: expected 269 or more, the 256 bytes"):
        check(with_tokenizer(vocab_size=268))
    check(with_tokenizer(vocab_size=269))
    check(with_tokenizer(vocab_size=258, path="tokenizer.json"))  # theirs may be another kind
    with pytest.raises(UserError, match=r"bos_token and .*eos_token are both '<s>'"):
        check(with_tokenizer(bos_token="<s>", eos_token="<s>"))


def test_too_many_sources() -> None:
    source = {"reader": "jsonl", "kind": "text"}
    names = ["text", "code", *(f"s{number}" for number in range(254))]
    with pytest.raises(UserError, match="expected at most 255 sources, got 256"):
        check(changed("data", sources=dict.fromkeys(names, source)))
    check(changed("data", sources=dict.fromkeys(names[:255], source)))


def test_names_of_imported_checkpoints() -> None:
    check_import_name("--name", "base_2")
    for name in ("Base", "a/b", "", "x" * 65):
        with pytest.raises(UserError, match="--name: expected a name of lower-case letters"):
            check_import_name("--name", name)


def test_evaluators_that_need_no_decontamination() -> None:
    check(evaluated({}))
    check(evaluated({"questions": "q.jsonl"}, benchmarks=["questions"]))
    check(evaluated({}, benchmarks=["questions"], allow_contamination=True))


def test_a_source_that_is_held_out_is_in_no_mixture() -> None:
    values = small_values()
    values["data"]["sources"]["text"] |= {"split": "held_out"}
    message = r'mixture.text: expected a source that is trained on, .*text.split is "held_out"'
    with pytest.raises(UserError, match=message):
        check(parse(StudyConfig, values))
    values["data"]["sources"]["text"] |= {"split": "validation"}
    with pytest.raises(UserError, match=r"text.split: expected one of by_group, train, held_out"):
        check(parse(StudyConfig, values))


def test_keep_near_needs_a_source_and_a_policy_that_drops() -> None:
    values = small_values()
    values["data"]["deduplication"] = {"keep_near": ["code"]}
    check(parse(StudyConfig, values))
    values["data"]["deduplication"] = {"keep_near": ["cod"]}
    with pytest.raises(UserError, match=r"config\.data\.deduplication\.keep_near\[0\].*'cod'"):
        check(parse(StudyConfig, values))
    for near in ("ignore", "keep"):
        values["data"]["deduplication"] = {"keep_near": ["code"], "near": near}
        with pytest.raises(UserError, match=f"near='{near}' keeps the similar texts of all"):
            check(parse(StudyConfig, values))
