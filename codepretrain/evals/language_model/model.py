"""The model for evaluations: scores given continuations and sequences, and generates.

Everything runs in batches of fixed shape on the mesh that the parameters are on. A function is
compiled once per shape and kept, so the parameters are arguments. Every process makes the same
calls with the same arguments and gets all the results.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from etils import epath
from jax.sharding import Mesh

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import ModelConfig
from codepretrain.evals.language_model.cache import RequestCache, Results, cached
from codepretrain.evals.language_model.completion import Completion
from codepretrain.evals.language_model.generation import Generator
from codepretrain.evals.language_model.prompts import Prompt, prompts_of
from codepretrain.evals.language_model.sampling import Sampling
from codepretrain.evals.language_model.scoring import Scorer, Scores, check_numbers
from codepretrain.evals.language_model.shared_prefixes import Scored
from codepretrain.evals.language_model.token_scores import TokenScorer, TokenScores
from codepretrain.evals.language_model.windows import rolling_windows
from codepretrain.evals.params_digest import params_digest
from codepretrain.evals.placement import rows_per_batch
from codepretrain.evals.progress import Progress, no_progress
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.transformer import Params, bind
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.sharding import Constrain


class LanguageModel:
    """Scores and generates token ids with parameters given at each call."""

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: Vocabulary,
        mesh: Mesh,
        *,
        batch_size: int,
        max_seq_len: int,
        attention_kernel: str | AttentionKernel = "reference",
    ) -> None:
        """`batch_size` is rounded up to a multiple of the mesh's data-parallel devices."""
        assert len(vocabulary) == config.vocab_size, (len(vocabulary), config.vocab_size)
        self.vocabulary = vocabulary
        self._config = config
        self.batch_size = rows_per_batch(batch_size, mesh)
        self.max_seq_len = max_seq_len
        bound = functools.partial(
            bind,
            config,
            remat_policy="none",
            attention_kernel=attention_kernel,
            constrain=Constrain(mesh),
        )
        self._scorer = Scorer(bound, mesh, batch_size=batch_size, max_seq_len=max_seq_len)
        self._generator = Generator(
            bound,
            vocabulary,
            mesh,
            num_slots=batch_size,
            max_seq_len=max_seq_len,
            num_layers=config.num_layers,
        )
        self._token_scorer = TokenScorer(
            bound,
            mesh,
            batch_size=batch_size,
            max_seq_len=max_seq_len,
            vocab_size=config.vocab_size,
        )
        self._cache: RequestCache | None = None

    @contextmanager
    def caching(self, cache: RequestCache) -> Iterator[None]:
        """Within the block, every call first looks its requests up in the cache, and adds to it."""
        before, self._cache = self._cache, cache
        try:
            yield
        finally:
            self._cache = before

    @contextmanager
    def keeping_answers(
        self, params: Params, folder: StrPath, *, name: str
    ) -> Iterator[RequestCache]:
        """Keeps every answer within the block in a file: after a kill only the rest is computed.

        Every process enters and leaves the block together. The caller removes the file when the
        answers are not needed any more (`RequestCache.remove`).
        """
        digest = self.digest(params)
        path = epath.Path(folder) / f"{digest}-{name}.jsonl"
        with RequestCache(path, digest) as cache, self.caching(cache):
            yield cache

    def digest(self, params: Params) -> str:
        """Returns a digest of all that decides an answer beside the request."""
        texts = [text.hex() for text in self.vocabulary.token_bytes]
        vocabulary = sha256_json({"eos": self.vocabulary.eos, "token_bytes": texts})
        return sha256_json(
            {
                "params": params_digest(params),
                "config": to_dict(self._config),
                "vocabulary": vocabulary,
            }
        )

    def score(
        self,
        params: Params,
        contexts: Sequence[Sequence[int]],
        continuations: Sequence[Sequence[int]],
        *,
        progress: Progress = no_progress,
    ) -> Scores:
        """Returns how probable each continuation is after its context.

        An empty context is replaced by bos. A pair longer than the model's rows loses the start of
        its context.

        Raises:
          ValueError: a continuation is empty, or longer than a row by itself; an id is not in the
            vocabulary.
          UserError: a result is not a number.
        """
        self._check_ids([*contexts, *continuations])
        for number, continuation in enumerate(continuations):
            if not 0 < len(continuation) <= self.max_seq_len:
                raise ValueError(
                    f"continuation {number} has {len(continuation)} tokens, expected 1 to "
                    f"{self.max_seq_len} (the model's rows)"
                )
        num_tokens = np.array([len(continuation) for continuation in continuations], np.int64)
        equal: dict[tuple[int, bytes], list[int]] = {}
        distinct = []
        for number, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
            tokens = [*(list(context) or [self.vocabulary.bos]), *continuation][
                -self.max_seq_len - 1 :
            ]
            one = Scored(np.array(tokens, np.int32), len(continuation))
            numbers = equal.setdefault((one.num_targets, one.ids.tobytes()), [])
            if not numbers:
                distinct.append(one)
            numbers.append(number)
        numbers_of = list(equal.values())
        log_probabilities = np.zeros(len(contexts), np.float64)
        is_greedy = np.zeros(len(contexts), bool)
        num_done = 0

        def compute(indices: list[int]) -> Results:
            for batch in self._scorer(params, [distinct[index] for index in indices]):
                yield [(position, values) for position, *values in batch]

        about = [one.request for one in distinct]
        for finished in cached(self._cache, "score", about, compute):
            for index, (log_probability, is_best) in finished:
                log_probabilities[numbers_of[index]] = log_probability
                is_greedy[numbers_of[index]] = is_best
            num_done += len(finished)
            progress(num_done, len(distinct), "continuations")
        check_numbers(log_probabilities)
        return Scores(log_probabilities, is_greedy, num_tokens)

    def rolling(
        self,
        params: Params,
        sequences: Sequence[Sequence[int]],
        *,
        progress: Progress = no_progress,
    ) -> np.ndarray:
        """Returns Σ log p (nats) of all tokens of each sequence: [N] float64, 0 if it has none.

        A sequence longer than the model's rows is scored in windows (`windows.py`), the first of
        which starts with bos.
        """
        pairs = [
            (number, *window)
            for number, tokens in enumerate(sequences)
            for window in rolling_windows(
                tokens, prefix=self.vocabulary.bos, max_seq_len=self.max_seq_len
            )
        ]
        scores = self.score(
            params,
            [context for _, context, _ in pairs],
            [continuation for _, _, continuation in pairs],
            progress=progress,
        )
        sums = np.zeros(len(sequences), np.float64)
        np.add.at(sums, [number for number, _, _ in pairs], scores.log_probabilities)
        return sums

    def token_scores(
        self,
        params: Params,
        sequences: Sequence[Sequence[int]],
        *,
        num_top: int,
        progress: Progress = no_progress,
    ) -> list[TokenScores]:
        """Returns the log-probability of each token, and the `num_top` best in its place."""
        return self._token_scorer.all(params, sequences, num_top=num_top, progress=progress)

    def complete(
        self,
        params: Params,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling | None,
        more: Callable[[], Sequence[Prompt]],
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Completes prompts while others come; yields (number of the prompt, its completion).

        For a server: `generate` returns when all is done, and looks results up in the cache.

        Args:
          more: is asked between steps for prompts that have come, which are numbered on.
        """
        return self._generator(params, prompts, sampling=sampling, more=more)

    def generate(
        self,
        params: Params,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int | Sequence[int],
        stop: Sequence[bytes] | Sequence[Sequence[bytes]] = (),
        sampling: Sampling | None = None,
        num_samples: int = 1,
        progress: Progress = no_progress,
    ) -> list[list[Completion]]:
        """Returns `num_samples` completions of each prompt.

        A completion ends before eos, where its text first contains a stop string, or after
        `max_new_tokens`. An empty prompt is replaced by bos; a prompt that leaves no room in the
        model's rows loses its start.

        Args:
          max_new_tokens: for all prompts, or one number per prompt.
          stop: stop strings for all prompts, or a sequence of them per prompt.
          sampling: None: the most probable token each time.

        Raises:
          ValueError: a setting is out of range; an id is not in the vocabulary.
        """
        self._check_ids(prompts)
        wanted = prompts_of(
            prompts,
            max_new_tokens=max_new_tokens,
            stop=stop,
            sampling=sampling,
            num_samples=num_samples,
            bos=self.vocabulary.bos,
            max_seq_len=self.max_seq_len,
        )
        equal: dict[Prompt, list[tuple[int, int]]] = {}
        for index, request in enumerate(wanted):
            equal.setdefault(request, []).append(divmod(index, num_samples))
        completions = [[Completion([], b"", "length")] * num_samples for _ in prompts]
        distinct = list(equal)

        def compute(indices: list[int]) -> Results:
            chosen = [distinct[index] for index in indices]
            for batch in self._generator(params, chosen, sampling=sampling):
                yield [(position, completion.to_json()) for position, completion in batch]

        about = [functools.partial(one.request, sampling) for one in distinct]
        num_done = 0
        for finished in cached(self._cache, "generate", about, compute):
            for index, value in finished:
                for number, sample in equal[distinct[index]]:
                    completions[number][sample] = Completion.from_json(value)
            num_done += len(finished)
            progress(num_done, len(distinct), "completions")
        return completions

    def _check_ids(self, sequences: Sequence[Sequence[int]]) -> None:
        """Raises ValueError for an id outside the vocabulary: its results would not be numbers."""
        size = len(self.vocabulary)
        for ids in sequences:
            if len(ids) and not 0 <= min(ids) <= max(ids) < size:
                wrong = next(token for token in ids if not 0 <= token < size)
                raise ValueError(f"token id {wrong}: expected 0 to {size - 1} (the vocabulary)")
