"""Completions of a tiny model over bytes, with a tokenizer of one token per byte."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.completions import (
    EVALUATOR,
    Completions,
    CompletionsOptions,
    describe,
    prompt_ids,
    repeated_ngrams,
)
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.identity import full_identity, identity_digest
from codepretrain.evals.language_model import Completion, LanguageModel, Sampling
from codepretrain.evals.progress import no_progress
from codepretrain.evals.prompt_set import Prompt
from codepretrain.evals.registry import (
    check_evaluators,
    check_machine,
    evaluator_request,
    missing_data,
)
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from tests.fixtures.processes import RunJob

PROMPTS = [Prompt("a", "add 1 and 2\n\n", "math"), Prompt("b", "say no\n\n", "chat")]
OPTIONS = CompletionsOptions(prompts="unread.jsonl", max_new_tokens=6)


class Bytes:
    """One token for each byte of the vocabulary; other bytes have none."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = {text: i for i, text in enumerate(vocabulary.token_bytes) if text}

    def encode(self, text: str) -> list[int]:
        return [self._ids[bytes([b])] for b in text.encode() if bytes([b]) in self._ids]


class Scripted:
    """Returns given completions and remembers what it was asked."""

    max_seq_len = 24

    def __init__(self, vocabulary: Vocabulary, *completions: Completion) -> None:
        self.vocabulary = vocabulary
        self.completions = completions
        self.asked: dict[str, Any] = {}

    def generate(self, params: Params, prompts: Any, **asked: Any) -> list[list[Completion]]:
        self.asked = {"prompts": prompts, **asked}
        return [[completion] for completion in self.completions]


def evaluation(model: Any, options: CompletionsOptions = OPTIONS) -> Completions:
    return Completions(model, Bytes(model.vocabulary), PROMPTS, options)


def record(text: str, reason: str = "eos") -> dict[str, Any]:
    return {"id": text or "empty", "completion": text, "bytes": len(text), "reason": reason}


def test_metrics_by_hand() -> None:
    """The second repeats two of its five 4-grams: "a b a b" once, "b a b a" once."""
    result = describe(
        [record("one two"), record("a b a b a b a b", "length"), record(" \n", "stop")]
    )
    values = {name: metric.value for name, metric in result.metrics.items()}
    assert values == {
        "ended": pytest.approx(2 / 3),
        "empty": pytest.approx(1 / 3),
        "bytes": pytest.approx((7 + 15 + 2) / 3),
        "repeated_ngrams": pytest.approx((0 + 3 / 5 + 0) / 3),
    }
    assert all(metric.direction is None for metric in result.metrics.values())
    assert result.metrics["bytes"].count == 3
    EVALUATOR.check_result(result)


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0), ("a b c", 0), ("a b c d", 0), ("a a a a a a", 2 / 3), ("a b c d e a b c d", 1 / 6)],
)
def test_repeated_ngrams(text: str, share: float) -> None:
    assert repeated_ngrams(text) == pytest.approx(share)


def test_what_is_asked_and_recorded(vocabulary: Vocabulary) -> None:
    model = Scripted(
        vocabulary,
        Completion([5, 6], b"3", "eos"),
        Completion([5] * 6, b"no \xe2\x82", "length"),
    )
    result = evaluation(model)(cast(Params, {}), no_progress)
    assert list(result.items.ids) == list(result.items.clusters) == ["a", "b"]
    assert result.items.records == [
        {
            "id": "a", "category": "math", "prompt": "add 1 and 2\n\n", "completion": "3",
            "bytes": 1, "tokens": 2, "reason": "eos", "is_cut": False,
        },
        {
            "id": "b", "category": "chat", "prompt": "say no\n\n", "completion": "no \ufffd",
            "bytes": 5, "tokens": 6, "reason": "length", "is_cut": False,
        },
    ]  # fmt: skip
    json.dumps(result.items.records).encode()
    assert model.asked["max_new_tokens"] == 6
    assert (model.asked["sampling"], model.asked["stop"]) == (None, [])
    assert model.asked["prompts"][0][:2] == [vocabulary.bos, vocabulary.token_bytes.index(b"a")]


def test_options_reach_the_model(vocabulary: Vocabulary) -> None:
    model = Scripted(vocabulary, *[Completion([], b"", "eos")] * 2)
    options = dataclasses.replace(OPTIONS, temperature=0.5, top_k=3, top_p=0.9, seed=4, stop="\n")
    evaluation(model, options)(cast(Params, {}), no_progress)
    assert model.asked["sampling"] == Sampling(temperature=0.5, top_k=3, top_p=0.9, seed=4)
    assert model.asked["stop"] == [b"\n"]


def test_a_prompt_that_lost_its_beginning_says_so(vocabulary: Vocabulary) -> None:
    model = Scripted(vocabulary, *[Completion([], b"", "eos")] * 2)
    options = dataclasses.replace(OPTIONS, max_new_tokens=14)  # leaves room for 10 tokens
    result = evaluation(model, options)(cast(Params, {}), no_progress)
    assert [record["is_cut"] for record in result.items.records] == [True, False]


def test_completions_of_a_model_are_reproducible(
    model: LanguageModel, sharded_params: Params
) -> None:
    def run() -> EvalResult:
        return evaluation(model)(sharded_params, no_progress)

    result = run()
    assert result.items.records == run().items.records
    assert all(0 < record["tokens"] <= 6 for record in result.items.records)
    (alone, *_), *_ = model.generate(
        sharded_params,
        [[model.vocabulary.bos, *Bytes(model.vocabulary).encode(PROMPTS[0].text)]],
        max_new_tokens=6,
    )
    assert result.items.records[0]["completion"] == alone.text.decode(errors="replace")


class Merging:
    """Tokenizes as a byte-level BPE whose last token before a letter is `last`."""

    def __init__(self, tokens: dict[str, list[int]]) -> None:
        self.tokens = tokens

    def encode(self, text: str) -> list[int]:
        return self.tokens[text]


def test_the_tokens_of_a_prompt_are_those_in_front_of_a_letter() -> None:
    """As with GPT-2's pre-tokenizer: two line breaks in a text, one token at its end."""
    vocabulary = Vocabulary([b"", b"", b"", b"x", b"\n", b"\n\n", b"A"], bos=1, eos=2, pad=0)
    gpt2 = Merging({"x\n\nA": [3, 4, 4, 6], "x\n\n": [3, 5]})
    assert prompt_ids("x\n\n", gpt2, vocabulary) == [3, 4, 4]


def test_a_token_over_the_end_of_a_prompt_is_not_cut() -> None:
    vocabulary = Vocabulary([b"", b"", b"", b"x", b"\n", b"\nA", b"\n\n"], bos=1, eos=2, pad=0)
    merging = Merging({"x\n\nA": [3, 4, 5], "x\n\n": [3, 6]})
    assert prompt_ids("x\n\n", merging, vocabulary) == [3, 6]


@pytest.mark.parametrize(
    "changes",
    [{"max_new_tokens": 7}, {"temperature": 0.5}, {"seed": 1}, {"stop": "\n"}, {"top_k": 2}],
)
def test_the_identity_changes_with_what_decides(
    model: LanguageModel, changes: dict[str, Any]
) -> None:
    ours = evaluation(model).identity
    other = evaluation(model, dataclasses.replace(OPTIONS, **changes)).identity
    assert [name for name in ours if ours[name] != other[name]] == ["settings"]


def test_the_identity_changes_with_the_prompts(model: LanguageModel) -> None:
    def digest(prompts: list[Prompt]) -> str:
        made = Completions(model, Bytes(model.vocabulary), prompts, OPTIONS)
        config = EvaluatorConfig(kind="completions", options=dataclasses.asdict(OPTIONS))
        kind, request = evaluator_request("dolly", config)
        return identity_digest(full_identity(kind, request, made.identity))

    others = [PROMPTS[::-1], PROMPTS[:1], [PROMPTS[0], dataclasses.replace(PROMPTS[1], id="c")]]
    assert len({digest(prompts) for prompts in [PROMPTS, *others]}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": ""}, "prompts: expected the path of a file of prompts, found ''"),
        ({"max_new_tokens": 0}, "max_new_tokens: expected 1 or more, found 0"),
        ({"temperature": -1.0}, "temperature: expected 0 or more, found -1.0"),
        ({"top_p": 0.0}, "top_p: expected above 0 and at most 1, found 0.0"),
        ({"seed": -1}, "seed: expected 0 to 2147483647, found -1"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    config = EvaluatorConfig(kind="completions", options={"prompts": "p.jsonl", **options})
    with pytest.raises(UserError, match=r"config\.evals\.dolly\.options\.") as caught:
        evaluator_request("dolly", config)
    assert str(caught.value).endswith(message)


def test_missing_prompts_are_named_before_anything_is_computed(
    config: StudyConfig, tmp_path: Path
) -> None:
    def study(path: Path, **options: Any) -> StudyConfig:
        chosen = EvaluatorConfig(kind="completions", options={"prompts": str(path), **options})
        return dataclasses.replace(config, evals={"dolly": chosen})

    path = tmp_path / "p.jsonl"
    with pytest.raises(UserError, match=r"config.evals.dolly.options.prompts: there is no file"):
        check_machine(study(path))
    path.write_text("{")
    with pytest.raises(UserError, match=r"p.jsonl line 1: expected a JSON object"):
        check_machine(study(path))
    (problem,) = missing_data(study(path))  # what `plan` lists
    assert "p.jsonl line 1" in problem
    held_out_nothing = dataclasses.replace(config.data, validation_fraction=0.0)
    check_evaluators(dataclasses.replace(study(path, max_new_tokens=8), data=held_out_nothing))
    kind, request = evaluator_request("dolly", study(path, max_new_tokens=16).evals["dolly"])
    with pytest.raises(UserError, match=r"expected at most 15 .*max_seq_len - 1.*, found 16"):
        kind.check_study(request, config)


TWO_PROCESSES = """
from codepretrain.errors import UserError
from codepretrain.evals.completions import Completions, CompletionsOptions
from codepretrain.evals.language_model import Completion
from codepretrain.evals.progress import no_progress
from codepretrain.evals.prompt_set import Prompt
from codepretrain.rows.vocabulary import Vocabulary

class Model:
    max_seq_len = 24
    vocabulary = Vocabulary([b"", b"", b"", *(bytes([i]) for i in range(256))], bos=1, eos=2, pad=0)

    def generate(self, params, prompts, **options):
        return [[Completion([3] * len(ids), b"x" * len(ids), "eos")] for ids in prompts]

class Tokenizer:
    def encode(self, text):
        return [byte + 3 for byte in text.encode()]

def evaluation(*texts):
    prompts = [Prompt(text, text, "") for text in texts]
    options = CompletionsOptions(prompts="/data/p.jsonl", max_new_tokens=4)
    return Completions(Model(), Tokenizer(), prompts, options)

result = evaluation("one", "three")({}, no_progress)
print(result.metrics["bytes"].value, [record["completion"] for record in result.items.records])
try:
    evaluation("one", f"of {process}")({}, no_progress)
except UserError as error:
    print(error)
"""


def test_processes_agree_on_the_prompts_before_they_complete_them(run_job: RunJob) -> None:
    outputs = {ended.stdout for ended in run_job(TWO_PROCESSES) if ended.returncode == 0}
    (output,) = outputs
    first, second = output.splitlines()
    assert first == "5.0 ['xxxx', 'xxxxxx']"
    assert second.startswith("/data/p.jsonl holds other prompts on this host than on that of")
