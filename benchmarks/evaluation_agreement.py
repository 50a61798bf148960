"""How far the results of two backends of `evaluation.py` agree."""

from typing import Any

import numpy as np
from evaluation_data import NUM_FORCED


def agreement(ours: dict, hf: dict) -> dict[str, Any]:
    """Returns how far the two backends' results agree."""
    nats = [np.array([value for value, _ in one["scores"]]) for one in (ours, hf)]
    flags = [[flag for _, flag in one["scores"]] for one in (ours, hf)]
    forced_flags = [[flag for _, flag in one["forced"]] for one in (ours, hf)]
    reference = np.array([value for value, _ in hf["float32"]])
    texts = [one["completions"] for one in (ours, hf)]
    lengths = [_num_equal(*pair) for pair in zip(*texts, strict=True)]

    def largest(x: np.ndarray, y: np.ndarray) -> float | None:
        return float(abs(x - y).max()) if len(y) else None

    return {
        "pairs": len(nats[0]),
        "mean_log_likelihood": float(nats[0].mean()) if len(nats[0]) else None,
        "largest_difference": largest(*nats),
        "float32_pairs": len(reference),
        "ours_from_float32": largest(nats[0][: len(reference)], reference),
        "hf_from_float32": largest(nats[1][: len(reference)], reference),
        "equal_flags": _matches(*flags),
        "completions": len(lengths),
        "equal_completions": _matches(*texts),
        "mean_equal_tokens": float(np.mean(lengths)) if lengths else None,
        "forced": len(forced_flags[0]),
        "ours_greedy_forced": sum(forced_flags[0]),
        "hf_greedy_forced": sum(forced_flags[1]),
        "equal_forced_flags": _matches(*forced_flags),
    }


def _matches(first: list, second: list) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))


def _num_equal(first: str, second: str) -> int:
    """Returns how many tokens two completions have in common before they diverge."""
    words = list(zip(first.split(" "), second.split(" "), strict=False))
    return next((i for i, (a, b) in enumerate(words) if a != b), len(words))


def agreement_lines(found: dict[str, Any]) -> str:
    """Returns the agreement as lines of text."""
    lines = []
    if found["pairs"]:
        lines.append(
            "log-likelihood: mean {mean_log_likelihood:.2f} nats, largest difference "
            "{largest_difference:.3g}; is_greedy equal for {equal_flags} of {pairs}"
        )
    if found["float32_pairs"]:
        lines.append(
            "from float32: ours at most {ours_from_float32:.3g}, hf at most {hf_from_float32:.3g} "
            "({float32_pairs} pairs)"
        )
    if found["completions"]:
        lines.append(
            "completions: {equal_completions} of {completions} equal, the first "
            "{mean_equal_tokens:.1f} tokens on average"
        )
        lines.append(
            f"first {NUM_FORCED} tokens of ours, scored: "
            "is_greedy for ours {ours_greedy_forced}, for hf {hf_greedy_forced}, equal for "
            "{equal_forced_flags} of {forced}"
        )
    return "".join(f"  {line.format(**found)}\n" for line in lines)
