"""The harness's `generation_kwargs` as settings of the language model."""

from collections.abc import Mapping
from typing import Any

from codepretrain.evals.harness.work import Decoding

DEFAULT_MAX_NEW_TOKENS = 256  # the harness's own
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_IGNORED = ("num_beams", "use_cache", "pad_token_id")  # change no greedy or sampled answer


def read_decoding(settings: Mapping[str, Any], *, max_new_tokens: int | None = None) -> Decoding:
    """Returns the settings of `generate_until`.

    As in the harness, a temperature above zero samples unless `do_sample` says otherwise, and
    `do_sample=False` is greedy whatever the temperature. Of several names of the length the first
    of `_LENGTHS` counts.

    Args:
      max_new_tokens: instead of the task's own.

    Raises:
      ValueError: a setting that the language model does not have, or a value out of range.
    """
    left = dict(settings)
    lengths = [left.pop(name, None) for name in _LENGTHS]
    own = next((length for length in lengths if length is not None), DEFAULT_MAX_NEW_TOKENS)
    until = left.pop("until", None) or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    temperature = float(left.pop("temperature", None) or 0.0)
    samples = left.pop("do_sample", None)
    samples = temperature > 0 if samples is None else samples
    top_k, top_p = left.pop("top_k", None), left.pop("top_p", None)
    seed = left.pop("seed", None)
    for name in _IGNORED:
        left.pop(name, None)
    if left:
        raise ValueError(f"generation_kwargs {sorted(left)} are not supported")
    if samples and temperature <= 0:
        raise ValueError("generation_kwargs: do_sample needs a temperature above 0")
    return Decoding(
        max_new_tokens=int(max_new_tokens or own),
        stop=tuple(text for text in stop if text),
        temperature=temperature if samples else None,
        top_k=int(top_k) if samples and top_k else None,
        top_p=float(top_p) if samples and top_p is not None else 1.0,
        seed=int(seed or 0),
    )
