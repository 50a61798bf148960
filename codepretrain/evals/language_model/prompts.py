"""The prompts of one call, each with its own limits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from codepretrain.evals.language_model.sampling import Sampling


@dataclass(frozen=True)
class Prompt:
    """A prompt to complete once. Equal prompts have equal completions.

    Attributes:
      tokens: at least one.
      counters: the numbers of the prompt in the call and of its sample, which key random draws;
        zeros if the completion is greedy.
    """

    tokens: tuple[int, ...]
    max_new_tokens: int
    stops: tuple[bytes, ...] = ()
    counters: tuple[int, int] = (0, 0)

    def request(self, sampling: Sampling | None) -> dict[str, Any]:
        """Returns all that decides its completion beside the model, as a JSON value."""
        return {
            "tokens": self.tokens,
            "max_new_tokens": self.max_new_tokens,
            "stops": [stop.hex() for stop in self.stops],
            "counters": self.counters,
            "sampling": asdict(sampling) if sampling else None,
        }


def prompts_of(
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int | Sequence[int],
    stop: Sequence[bytes] | Sequence[Sequence[bytes]],
    sampling: Sampling | None,
    num_samples: int,
    bos: int,
    max_seq_len: int,
) -> list[Prompt]:
    """Returns a `Prompt` per sample, those of one prompt side by side.

    Raises:
      ValueError: a setting is out of range, or there is not one per prompt.
    """
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else max_new_tokens
    stops = _stops(stop, len(prompts))
    if len(limits) != len(prompts):
        raise ValueError(f"max_new_tokens: expected {len(prompts)} numbers, got {len(limits)}")
    if num_samples < 1:
        raise ValueError(f"num_samples: expected 1 or more, got {num_samples}")
    if sampling is not None:
        sampling.check()
    found = []
    for number, (tokens, limit, own) in enumerate(zip(prompts, limits, stops, strict=True)):
        if not 0 < limit < max_seq_len:
            raise ValueError(
                f"max_new_tokens of prompt {number}: expected 1 to {max_seq_len - 1} (the model's "
                f"rows have {max_seq_len} tokens, one is for the prompt), got {limit}"
            )
        wrong = [one for one in own if not isinstance(one, bytes) or not one]
        if wrong:
            raise ValueError(f"stop of prompt {number}: expected non-empty bytes, got {wrong[0]!r}")
        kept = (tuple(map(int, tokens)) or (bos,))[-(max_seq_len - limit) :]
        for sample in range(num_samples):
            counters = (0, 0) if sampling is None else (number, sample)
            found.append(Prompt(kept, limit, own, counters))
    return found


def _stops(
    stop: Sequence[bytes] | Sequence[Sequence[bytes]], num_prompts: int
) -> list[tuple[bytes, ...]]:
    """Returns the stop strings of each prompt."""
    if isinstance(stop, bytes | str):
        raise ValueError(
            f"stop: expected a sequence of byte strings, got {stop!r}; pass [{stop!r}]"
        )
    if all(isinstance(one, bytes) for one in stop):
        return [tuple(cast(Sequence[bytes], stop))] * num_prompts
    if len(stop) != num_prompts:
        raise ValueError(f"stop: expected {num_prompts} sequences of stop strings, got {len(stop)}")
    return [tuple(one) for one in cast(Sequence[Sequence[bytes]], stop)]
