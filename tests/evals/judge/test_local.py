"""A local judge: a scripted model, and the tiny one."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from codepretrain.evals.judge.local import VERDICTS, LocalJudge, identity
from codepretrain.evals.judge.match import Match
from codepretrain.evals.language_model import LanguageModel, Scores
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from tests.evals.judge.judging import matches

PARAMS = cast(Params, {})


class Characters:
    """One token for each character."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) + 3 for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(token - 3) for token in ids)


class Scripted:
    """Gives each verdict a probability by a rule on the text."""

    def __init__(self, prefers: Any, max_seq_len: int = 10_000) -> None:
        self.max_seq_len = max_seq_len
        self.vocabulary = Vocabulary([b""] * 3, bos=1, eos=2, pad=0)
        self.prefers = prefers
        self.contexts: list[str] = []

    def score(self, params: Params, contexts: Any, continuations: Any, *, progress: Any) -> Scores:
        self.contexts = [Characters().decode(context[1:]) for context in contexts]
        assert all(context[0] == 1 or len(context) == self.max_seq_len - 1 for context in contexts)
        written = [Characters().decode(ids) for ids in continuations]
        assert written == [*VERDICTS] * (len(contexts) // 2)
        values = [
            self.prefers(text, verdict)
            for text, verdict in zip(self.contexts, written, strict=True)
        ]
        return Scores(
            np.array(values, np.float64), np.zeros(len(values), bool), np.ones(len(values))
        )


def judge(
    prefers: Any, asked: Sequence[Match], **more: Any
) -> tuple[list[Any], Scripted, LocalJudge]:
    model = Scripted(prefers, **more)
    made = LocalJudge(cast(LanguageModel, model), Characters())
    return [judged.outcomes for judged in made(PARAMS, asked)], model, made


def quality(text: str, verdict: str) -> float:
    """log p of an answer's number is the quality that it states."""
    return float(text.split(f"Answer{verdict}:\nquality ")[1].split("\n")[0])


def test_the_more_probable_verdict_is_chosen_in_both_orders() -> None:
    asked = [*matches((7, 3), (1, 4)), Match("same", "", "P", ("x", "x"))]
    outcomes, model, _ = judge(quality, asked)
    assert outcomes == [("win", "win"), ("loss", "loss"), ("tie", "tie")]
    assert len(model.contexts) == 2 * 2 * 2, "identical completions are not scored"
    assert model.contexts[0].index("quality 7") < model.contexts[0].index("quality 3")
    assert model.contexts[2].index("quality 3") < model.contexts[2].index("quality 7")
    assert "Request 0\n" in model.contexts[0]


def test_a_preference_for_a_number_cancels() -> None:
    outcomes, _, _ = judge(lambda _, verdict: float(verdict), matches((7, 3), (1, 4)))
    assert outcomes == [("loss", "win"), ("loss", "win")]


def test_equal_probabilities_are_a_tie() -> None:
    outcomes, _, _ = judge(lambda *_: -1.5, matches((7, 3)))
    assert outcomes == [("tie", "tie")]


def test_completions_that_do_not_fit_are_shortened_alike() -> None:
    long = Match("p", "", "Request", ("a" * 500, "b" * 500))
    outcomes, model, made = judge(lambda *_: 0.0, [long, *matches((1, 2))], max_seq_len=600)
    assert made.num_shortened == 1
    for context in model.contexts[:4]:
        assert context.count("a" * 10) + 100 > 100
        assert len(context) + 1 <= 600 - 1
        assert context.count("aaaaaaaaaa") == context.count("bbbbbbbbbb") > 5
        assert "Request:\nRequest\n" in context
    assert outcomes[0] == ("tie", "tie")


@pytest.mark.parametrize("name", ["model", "fingerprint"])
def test_the_identity_names_the_parameters(name: str) -> None:
    one = {"model": "base@10", "fingerprint": "f"}
    assert identity(one) != identity({**one, name: "other"})
    assert identity(one)["kind"] == "local"
