"""What `experiments/our_code.py` registers. No study of its own.

Bits per byte, so that checkpoints of other tokenizers compare: on the held-out repositories, on
general text and on public code. Lower is better.
"""

import dataclasses
from collections.abc import Mapping

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.trend import dose_weights

NAMES = {"text": "general text", "public_code": "public code"}
ENOUGH_REPOSITORIES = 10  # held out, to conclude to others (docs/held_out_loss.md)
SOUP = "own_soup"
OWN = "validation/source/own_held_out/bits_per_byte"
GENERAL = {
    "text": "validation/source/text/bits_per_byte",
    "public_code": "validation/source/public_code/bits_per_byte",
}


def contrasts(
    doses: Mapping[str, float], *, public: str, worth: float, cost: float, num_held_out: int
) -> dict[str, ContrastConfig]:
    """Returns the contrasts of all doses with `control`, with public code, and with each other.

    Their names are in the order in which a report, which has them by name, is to be read.

    Args:
      doses: share of own code by variant, the smallest first.
      public: the variant with as much public code as the largest dose.
      worth: smallest effect of interest. cost: largest tolerated rise. Both in bits per byte.
      num_held_out: repositories; of few of them, the intervals are over their files.
    """
    largest, predicted = list(doses)[-1], _predicted(num_held_out)
    found = {
        f"benefit_of_{name}": _lower(
            (name, "control"),
            worth,
            "benefit",
            f"{predicted} with {dose:.0%} of our code than with none?",
        )
        for name, dose in doses.items()
    }
    if len(doses) > 1:
        found[f"benefit_of_{SOUP}"] = _lower(
            (SOUP, "control"),
            worth,
            "benefit",
            f"{predicted} by the mean of all doses' models than with none of our code?",
        )
    found[f"benefit_of_{public}"] = dataclasses.replace(
        _lower(
            (public, "control"),
            worth,
            "any_code",
            f"{predicted} with {doses[largest]:.0%} more public code, and none of ours?",
        ),
        is_control=True,
    )
    for (less, low), (more, high) in zip(doses.items(), list(doses.items())[1:], strict=False):
        found[f"dose_{more}_over_{less}"] = _lower(
            (more, less), worth, "dose", f"{predicted} with {high:.0%} than with {low:.0%}?"
        )
    shares = list(doses.values())
    if len(shares) > 2:
        weights = dose_weights(shares) * (shares[-1] - shares[0])
        found["dose_trend"] = ContrastConfig(
            weights={
                name: float(w) for name, w in zip(doses, weights, strict=True) if abs(w) > 1e-9
            },
            metric=OWN,
            direction="lower",
            margin=worth,
            family="dose",
            question="Does more of our code help more, over all doses?",
        )
    if len(shares) > 1:
        middle = list(doses)[len(doses) // 2]
        found["dose_soup"] = ContrastConfig(
            variants=(SOUP, middle),
            metric=OWN,
            direction="lower",
            margin=worth,
            family="dose",
            is_paired=True,  # replicate k is the mean of anneals of which one is its pair
            question=f"{predicted} by the mean of all doses' models than with {doses[middle]:.0%}?",
        )
    found["own_or_any_code"] = dataclasses.replace(
        _lower(
            (largest, public),
            worth,
            "own_or_any_code",
            f"{predicted} with {doses[largest]:.0%} of our code than with as much public code?",
        ),
        is_control=True,  # is it our code, or code?
    )
    texts = {name: f"with {dose:.0%} of our code" for name, dose in doses.items()}
    if len(shares) > 1:
        texts[SOUP] = "by the mean of all doses' models"
    for name, text in texts.items():
        for what, metric in GENERAL.items():
            found[f"cost_of_{name}_on_{what}"] = ContrastConfig(
                variants=(name, "control"),
                metric=metric,
                direction="not_higher",
                margin=cost,
                family=f"cost_{name}",  # one of the doses is chosen, and what it costs is asked
                question=f"Is {NAMES[what]} predicted no worse {text}?",
            )
    return found


def _predicted(num_held_out: int) -> str:
    """Returns what an interval over files, or over repositories, is about."""
    if num_held_out >= ENOUGH_REPOSITORIES:
        return f"Are repositories like the {num_held_out} held-out ones predicted better"
    if num_held_out > 1:
        return f"Are these {num_held_out} held-out repositories predicted better"
    return "Is this held-out repository predicted better"


def _lower(variants: tuple[str, str], margin: float, family: str, question: str) -> ContrastConfig:
    return ContrastConfig(
        variants=variants,
        metric=OWN,
        direction="lower",
        margin=margin,
        family=family,
        question=question,
    )
