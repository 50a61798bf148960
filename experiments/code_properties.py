"""Which code? (§3.4 of arXiv 2408.10914, 470M parameters.)

Models of code alone from scratch, 200B tokens each, and one that continues with text:

    web_code                web code alone, the baseline
    with_markup             20% of it replaced by markup: `code_init` of initialization.py
    with_adjacent           15% replaced by issues, StackExchange and notebooks, 5% each
    with_synthetic          10% replaced by synthetic Python: 6.25 epochs of its 3.2B tokens
    balanced_text           100B text + 100B code, then 180B text + 20B code
    balanced_synthetic_text the same with 10% of the initializer's code replaced by synthetic

The synthetic code is Python, small and often repeated. Controls that the paper lacks (ours):

    with_python             10% replaced by more Python from the web: is it the language?
    with_repeated           10% replaced by a random 3.2B of web code, 6.25 epochs: the repetition?
    with_synthetic_4_epochs synthetic held to 4 epochs, 6.4%

Run:      codepretrain plan --config experiments/code_properties.py [--power]
Cost:     the paper reports 4,736 chip-hours (TPU v5e) per 200B tokens at 470M: 52,000 for these 11
          phases of 200B, once (our sum), of which 14,000 are shared with `initialization`.
Expected: relative to web_code: markup reasoning +2.8%, code -15.7%; adjacent +6.3%, -9.4%;
          synthetic +9%, +44.9%. Relative to balanced_text: synthetic reasoning +2%, code +35% (its
          introduction says 1.9% and 41%).

The published effects are inferred: with_markup is in Table 2 (reasoning 44.7, code 15.5), so
web_code had 43.5 and 18.4, if both are the same runs. The paper's 21.4B tokens of adjacent data
include commits, which its mixture does not; how they are divided is not said.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import ContrastConfig, PhaseConfig
from experiments.study.contrasts import difference
from experiments.study.evaluations import BITS_OF_CODE
from experiments.study.phases import (
    CODE,
    TEXT,
    continued,
    pretrain,
    scaled,
    shared,
)
from experiments.study.study import make_study

WEB_CODE = {"web_code": 1.0}
ADJACENT = {"issues": 0.05, "stackexchange": 0.05, "notebooks": 0.05}  # paper


def web_code_and(other: dict[str, float]) -> PhaseConfig:
    """Returns a phase of 200B web code of which a part is replaced."""
    return pretrain(scaled(WEB_CODE, 1 - sum(other.values())) | other)


# ours: the paper does not say how its balanced mixture with synthetic code is divided.
_WITH_SYNTHETIC = scaled(CODE, 0.9) | {"synthetic_code": 0.1}


def phases() -> dict[str, PhaseConfig]:
    return {
        "web_code_init": pretrain(WEB_CODE),
        **shared("code_init"),
        "adjacent_init": web_code_and(ADJACENT),
        "synthetic_init": web_code_and({"synthetic_code": 0.1}),  # paper
        "python_init": web_code_and({"web_python": 0.1}),
        "repeated_init": web_code_and({"web_code_sample": 0.1}),
        "synthetic_4_epochs_init": web_code_and({"synthetic_code": 0.064}),
        **shared("balanced_text_continued"),
        "balanced_synthetic_init": balanced_synthetic(),
        "balanced_synthetic_text_continued": continued("balanced_synthetic_init"),
    }


def balanced_synthetic() -> PhaseConfig:
    """Returns the balanced initializer with synthetic code; `recipes.py` has it as well."""
    return pretrain(scaled(TEXT, 0.5) | scaled(_WITH_SYNTHETIC, 0.5))


VARIANTS = {
    "web_code": "web_code_init",
    "with_markup": "code_init",
    "with_adjacent": "adjacent_init",
    "with_synthetic": "synthetic_init",
    "with_python": "python_init",
    "with_repeated": "repeated_init",
    "with_synthetic_4_epochs": "synthetic_4_epochs_init",
    "balanced_text": "balanced_text_continued",
    "balanced_synthetic_text": "balanced_synthetic_text_continued",
}

# inferred: 44.7 / 1.028 and 15.5 / (1 - 0.157)
_WEB_CODE_SCORES = {"reasoning": 43.5, "code": 18.4}
_EFFECTS = {  # paper: percent of them
    "with_markup": {"reasoning": 2.8, "code": -15.7},
    "with_adjacent": {"reasoning": 6.3, "code": -9.4},
    "with_synthetic": {"reasoning": 9.0, "code": 44.9},
}
# paper: Table 2 and the body of §3.4
_BALANCED_TEXT_SCORES = {"reasoning": 53.0, "code": 4.8}
_CONTINUED_EFFECTS = {"reasoning": 2.0, "code": 35.0}


def contrasts() -> dict[str, ContrastConfig]:
    found = {}
    for arm, effects in _EFFECTS.items():
        for metric, percent in effects.items():
            found[f"{metric}_{arm}"] = _relative(
                (arm, "web_code"), metric, percent, _WEB_CODE_SCORES[metric], family=metric
            )
    for metric, percent in _CONTINUED_EFFECTS.items():
        found[f"{metric}_continued"] = _relative(
            ("balanced_synthetic_text", "balanced_text"),
            metric,
            percent,
            _BALANCED_TEXT_SCORES[metric],
            family="continued",
        )
    controls = {
        "beyond_python": ("with_synthetic", "with_python", "reasoning_9_tasks", "higher"),
        "beyond_repetition": ("with_synthetic", "with_repeated", "reasoning_9_tasks", "higher"),
        "four_epochs": ("with_synthetic", "with_synthetic_4_epochs", "code", "different"),
        "cost_of_repetition": ("with_repeated", "web_code", BITS_OF_CODE, "equivalent"),
    }
    for name, (first, second, metric, direction) in controls.items():
        found[name] = difference(
            (first, second), metric, direction, family="controls", is_control=True
        )
    return found


def _relative(
    pair: tuple[str, str], metric: str, percent: float, score: float, *, family: str
) -> ContrastConfig:
    direction = "higher" if percent > 0 else "lower"
    points = score * percent / 100
    return difference(
        pair, metric, direction, family=family, published=points, published_score=score
    )


def get_config() -> ConfigDict:
    return to_config_dict(
        make_study(
            "code_properties",
            phases=phases(),
            variants=VARIANTS,
            baseline="web_code",
            contrasts=contrasts(),
        )
    )
