"""What the language model does for requests that can be computed together."""

import dataclasses
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from codepretrain.evals.language_model import Completion, LanguageModel, Sampling, TokenScores
from codepretrain.evals.language_model.completion import Draft
from codepretrain.evals.language_model.widths import width_for
from codepretrain.model.transformer import Params
from codepretrain.serve.request import MAX_TOP, CompletionRequest

Tokens = tuple[int, ...]


class Answer(NamedTuple):
    """Of each prompt, one completion per sample, and the scores of prompt and completion."""

    completions: list[list[Completion]]
    scores: list[list[TokenScores | None]]


class Compute:
    """Answers requests that are all scored, all greedy, or one sampled request."""

    def __init__(
        self, model: LanguageModel, params: Params, *, note: Callable[[str], None]
    ) -> None:
        """Args:
        note: is told in one line what is compiled, before it is.
        """
        self._model = model
        self._params = params
        self._note = note
        self._seen: set[str] = set()

    @property
    def num_slots(self) -> int:
        """How many prompts are computed at once."""
        return self._model.batch_size

    def warm_up(self) -> None:
        """Compiles what a short request needs."""
        bos = self._model.vocabulary.bos
        self._scores([(1, (bos,))])
        self._generate([(bos,)], limits=[1], stops=[()], sampling=None, num_samples=1)

    def __call__(self, requests: Sequence[CompletionRequest]) -> list[Answer]:
        """Returns the answer to each request."""
        if not requests[0].is_generated:
            return self._score(requests)
        return self._write(requests)

    def _score(self, requests: Sequence[CompletionRequest]) -> list[Answer]:
        """Answers requests for no token, or for the most probable one, from the prompts' scores."""
        found = self._scores((_num_top(r), p.tokens) for r in requests for p in r.prompts)
        answers = []
        for request in requests:
            answer = Answer([], [])
            for prompt in request.prompts:
                scores = found[_num_top(request), prompt.tokens]
                completion = self._next_token(request, scores)
                scores = _followed(scores, completion.tokens)
                answer.completions.append([completion] * request.num_samples)
                answer.scores.append([scores] * request.num_samples)
            answers.append(answer)
        return answers

    def _next_token(self, request: CompletionRequest, scores: TokenScores) -> Completion:
        if not request.max_tokens:
            return Completion([], b"", "length")
        draft = Draft(
            self._model.vocabulary, stops=_stop_bytes(request), max_new_tokens=request.max_tokens
        )
        completion = draft.add(int(scores.top_ids[-1, 0]))
        assert completion is not None, "one token may be written"
        return completion

    def _write(self, requests: Sequence[CompletionRequest]) -> list[Answer]:
        """Answers requests by generation: all greedy, or a single one."""
        first, *others = requests
        assert not others or not any(request.temperature for request in requests)
        prompts = [(r, p.tokens) for r in requests for p in r.prompts]
        written = self._generate(
            [tokens for _, tokens in prompts],
            limits=[request.max_tokens for request, _ in prompts],
            stops=[_stop_bytes(request) for request, _ in prompts],
            sampling=_sampling(first),
            num_samples=first.num_samples if first.temperature else 1,
        )
        if not first.temperature:
            written = [
                of_prompt * request.num_samples
                for (request, _), of_prompt in zip(prompts, written, strict=True)
            ]
        found = self._scores(
            (_num_top(request), (*tokens, *one.tokens))
            for (request, tokens), of_prompt in zip(prompts, written, strict=True)
            for one in of_prompt
            if request.num_top is not None
        )
        answers = [Answer([], []) for _ in requests]
        owners = (a for a, r in zip(answers, requests, strict=True) for _ in r.prompts)
        for answer, (request, tokens), of_prompt in zip(owners, prompts, written, strict=True):
            keys = [(_num_top(request), (*tokens, *one.tokens)) for one in of_prompt]
            answer.completions.append(of_prompt)
            answer.scores.append([found.get(key) for key in keys])
        return answers

    def _scores(
        self, wanted: Iterable[tuple[int, Tokens]]
    ) -> dict[tuple[int, Tokens], TokenScores]:
        """Returns the scores of sequences, each with as many alternatives as it is given with.

        Every number of alternatives is a function of its own, so that the scores of a request do
        not depend on what others ask for.
        """
        distinct: dict[int, dict[Tokens, None]] = {}
        for num_top, tokens in wanted:
            distinct.setdefault(num_top, {})[tokens] = None
        found: dict[tuple[int, Tokens], TokenScores] = {}
        for num_top, sequences in sorted(distinct.items()):
            for width in sorted({self._width(len(tokens)) for tokens in sequences}):
                self._announce(f"log-probabilities and the top {num_top}, {width:,} tokens")
            scores = self._model.token_scores(self._params, [*sequences], num_top=num_top)
            found.update(zip(((num_top, s) for s in sequences), scores, strict=True))
        return found

    def _generate(
        self,
        prompts: Sequence[Tokens],
        *,
        limits: Sequence[int],
        stops: Sequence[tuple[bytes, ...]],
        sampling: Sampling | None,
        num_samples: int,
    ) -> list[list[Completion]]:
        width = self._width(max(len(p) + m for p, m in zip(prompts, limits, strict=True)))
        self._announce(f"{_kind(sampling)} completions, {width:,} tokens")
        return self._model.generate(
            self._params,
            prompts,
            max_new_tokens=limits,
            stop=stops,
            sampling=sampling,
            num_samples=num_samples,
        )

    def _width(self, length: int) -> int:
        return width_for(length, self._model.max_seq_len)

    def _announce(self, what: str) -> None:
        if what not in self._seen:
            self._seen.add(what)
            self._note(f"compiling: {what}")


def _num_top(request: CompletionRequest) -> int:
    """Returns how many alternatives to compute: few numbers, so that few functions are compiled."""
    return 1 if (request.num_top or 0) <= 1 else MAX_TOP


def _stop_bytes(request: CompletionRequest) -> tuple[bytes, ...]:
    return tuple(stop.encode() for stop in request.stops)


def _sampling(request: CompletionRequest) -> Sampling | None:
    if not request.temperature:
        return None
    return Sampling(
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        seed=secrets.randbits(32) if request.seed is None else request.seed,
    )


def _kind(sampling: Sampling | None) -> str:
    """Returns what distinguishes compiled functions."""
    if sampling is None:
        return "greedy"
    top_k = "" if sampling.top_k is None else f" top_k {sampling.top_k:,}"
    return f"sampled{top_k}{' top_p' if sampling.top_p < 1 else ''}"


def _followed(scores: TokenScores, tokens: Sequence[int]) -> TokenScores:
    """Returns the scores of a sequence with its most probable next token, if that was written."""
    if not tokens:
        return scores
    last = scores.top_log_probabilities[-1, :1]
    return dataclasses.replace(
        scores, log_probabilities=np.concatenate([scores.log_probabilities, last])
    )
