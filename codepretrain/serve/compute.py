"""What the language model does for requests: scores of tokens, and completions."""

import dataclasses
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from codepretrain.evals.language_model import Completion, LanguageModel, Sampling, TokenScores
from codepretrain.evals.language_model.completion import Draft
from codepretrain.evals.language_model.prompts import Prompt, prompts_of
from codepretrain.evals.language_model.widths import width_for
from codepretrain.model.transformer import Params
from codepretrain.serve.job import Answer, written_tokens
from codepretrain.serve.request import MAX_TOP, CompletionRequest

Tokens = tuple[int, ...]


class Compute:
    """The language model with the parameters that are served."""

    def __init__(
        self, model: LanguageModel, params: Params, *, note: Callable[[str], None]
    ) -> None:
        """Keeps the arguments; compiles nothing.

        Args:
          note: is told in one line what is compiled, before it is.
        """
        self._model = model
        self._params = params
        self._note = note
        self._eos = model.vocabulary.eos
        self._seen: set[str] = set()

    @property
    def num_slots(self) -> int:
        """How many prompts are completed at once."""
        return self._model.batch_size

    def warm_up(self) -> None:
        """Compiles what a short request needs."""
        bos = self._model.vocabulary.bos
        self._scores([(1, (bos,))])
        self._announce_completions(1, sampling=None)
        for _ in self.complete([Prompt((bos,), 1)], sampling=None):
            pass

    def prompts(self, request: CompletionRequest, sampling: Sampling | None) -> list[Prompt]:
        """Returns what to complete: each prompt once if it is greedy, else once per sample."""
        length = max(len(prompt.tokens) for prompt in request.prompts) + request.max_tokens
        self._announce_completions(length, sampling=sampling)
        return prompts_of(
            [prompt.tokens for prompt in request.prompts],
            max_new_tokens=request.max_tokens,
            stop=_stop_bytes(request),
            sampling=sampling,
            num_samples=request.num_samples if sampling else 1,
            bos=self._model.vocabulary.bos,
            max_seq_len=self._model.max_seq_len,
        )

    def complete(
        self,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling | None,
        more: Callable[[], Sequence[Prompt]] = tuple,
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yields (number of the prompt, its completion) after every few tokens."""
        return self._model.complete(self._params, prompts, sampling=sampling, more=more)

    def answer_scored(self, requests: Sequence[CompletionRequest]) -> list[Answer]:
        """Answers requests for no token, or for the most probable one, from the prompts' scores."""
        found = self._scores((_num_top(r), p.tokens) for r in requests for p in r.prompts)
        answers = []
        for request in requests:
            answer = Answer([], [])
            for prompt in request.prompts:
                scores = found[_num_top(request), prompt.tokens]
                completion = self._next_token(request, scores)
                scores = _followed(scores, written_tokens(completion, self._eos))
                answer.completions.append([completion] * request.num_samples)
                answer.scores.append([scores] * request.num_samples)
            answers.append(answer)
        return answers

    def answer_completed(
        self, completed: Sequence[tuple[CompletionRequest, Sequence[Sequence[Completion]]]]
    ) -> list[Answer]:
        """Answers requests whose completions are written: adds the scores that they ask for."""
        sequences = [
            [
                [
                    (_num_top(request), (*prompt.tokens, *written_tokens(one, self._eos)))
                    for one in of_prompt
                ]
                for prompt, of_prompt in zip(request.prompts, completions, strict=True)
            ]
            for request, completions in completed
        ]
        found = self._scores(
            one
            for (request, _), of_request in zip(completed, sequences, strict=True)
            for of_prompt in of_request
            for one in of_prompt
            if request.num_top is not None
        )
        return [
            Answer(
                [[*of_prompt] for of_prompt in completions],
                [[found.get(one) for one in of_prompt] for of_prompt in of_request],
            )
            for (_, completions), of_request in zip(completed, sequences, strict=True)
        ]

    def _next_token(self, request: CompletionRequest, scores: TokenScores) -> Completion:
        if not request.max_tokens:
            return Completion([], b"", "length")
        draft = Draft(
            self._model.vocabulary, stops=_stop_bytes(request), max_new_tokens=request.max_tokens
        )
        completion = draft.add(int(scores.top_ids[-1, 0]))
        assert completion is not None, "one token may be written"
        return completion

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

    def _width(self, length: int) -> int:
        return width_for(length, self._model.max_seq_len)

    def _announce_completions(self, length: int, *, sampling: Sampling | None) -> None:
        self._announce(f"{_kind(sampling)} completions, up to {self._width(length):,} tokens")

    def _announce(self, what: str) -> None:
        if what not in self._seen:
            self._seen.add(what)
            self._note(f"compiling: {what}")


def sampling_of(request: CompletionRequest) -> Sampling | None:
    """Returns how to draw tokens, with a random seed if the request has none; None: greedy."""
    if not request.temperature:
        return None
    return Sampling(
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        seed=secrets.randbits(32) if request.seed is None else request.seed,
    )


def _num_top(request: CompletionRequest) -> int:
    """Returns how many alternatives to compute: few numbers, so that few functions are compiled."""
    return 1 if (request.num_top or 0) <= 1 else MAX_TOP


def _stop_bytes(request: CompletionRequest) -> tuple[bytes, ...]:
    return tuple(stop.encode() for stop in request.stops)


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
