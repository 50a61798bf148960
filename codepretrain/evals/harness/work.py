"""What the harness asks of the model, as token ids: it can be sent to the other processes.

harness                   Work                                    LanguageModel
loglikelihood             pairs: (context, continuation)          score
loglikelihood_rolling     sequences                               rolling
generate_until            generations, by their settings          generate
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codepretrain.evals.harness.encode import Pair
from codepretrain.evals.progress import Progress

if TYPE_CHECKING:
    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.model.transformer import Params


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How to write an answer. stop: texts before which it ends. temperature None is greedy."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Generation:
    """Prompts [N] to write `num_samples` answers to, all with the same settings."""

    decoding: Decoding
    prompts: Sequence[Sequence[int]]
    num_samples: int = 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """Requests as token ids; `sequences` without the bos that each begins with."""

    pairs: Sequence[Pair] = ()
    sequences: Sequence[Sequence[int]] = ()
    generations: Sequence[Generation] = ()


@dataclass(frozen=True)
class Answers:
    """The model's answers to a `Work`, in its order.

    Attributes:
      pairs: Σ log p of each continuation (nats), and whether all its tokens are the most probable.
      sequences: Σ log p of each sequence.
      generations: for each `Generation` and prompt, the texts of its samples.
    """

    pairs: list[tuple[float, bool]]
    sequences: list[float]
    generations: list[list[list[str]]] = field(default_factory=list)


def compute(model: "LanguageModel", params: "Params", work: Work, progress: Progress) -> Answers:
    """Returns the model's answers. Every process calls it with the same work and gets all."""
    contexts = [context for context, _ in work.pairs]
    continuations = [continuation for _, continuation in work.pairs]
    scores = model.score(params, contexts, continuations, progress=progress)
    totals = model.rolling(params, work.sequences, progress=progress) if work.sequences else ()
    return Answers(
        [
            (float(total), bool(is_greedy))
            for total, is_greedy in zip(scores.log_probabilities, scores.is_greedy, strict=True)
        ],
        [float(total) for total in totals],
        [_generate(model, params, generation, progress) for generation in work.generations],
    )


def _generate(
    model: "LanguageModel", params: "Params", generation: Generation, progress: Progress
) -> list[list[str]]:
    from codepretrain.evals.language_model import Sampling  # imports JAX

    decoding = generation.decoding
    sampling = None
    if decoding.temperature is not None:
        sampling = Sampling(
            temperature=decoding.temperature,
            top_k=decoding.top_k,
            top_p=decoding.top_p,
            seed=decoding.seed,
        )
    completions = model.generate(
        params,
        generation.prompts,
        max_new_tokens=decoding.max_new_tokens,
        stop=[text.encode() for text in decoding.stop],
        sampling=sampling,
        num_samples=generation.num_samples,
        progress=progress,
    )
    return [
        [completion.text.decode(errors="replace") for completion in samples]
        for samples in completions
    ]
