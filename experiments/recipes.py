"""Whole recipes: when should code appear? (§3.6 and Table 2 of arXiv 2408.10914, 470M parameters.)

    Table 2         text_only, balanced_only, balanced_text and code_text after the cooldown,
                    `…_trunk` before it, and the initializers `balanced_init` and `code_init`
    factorial       pre-training 0 or 50% code × continued 0 or 10% × cooldown 0 or 20% (ours):
                    text_text_text … text_code_code, code_text_text … code_code_text; the eighth
                    is balanced_text
    recommended     balanced_text with synthetic code in the initializer: what §3.4, §3.5 and §3.6
                    recommend put together, which the paper never cooled down
    one_cosine      balanced_text and code_text whose first two phases are one cosine of 400B
                    tokens: the mixture changes at 200B, rate and optimizer do not restart (ours)

Run:      codepretrain plan --config experiments/recipes.py [--power]
          codepretrain plan --config experiments/initialization.py experiments/recipes.py
Cost:     the paper reports 4,736 chip-hours (TPU v5e) per 200B tokens at 470M and 1,024 per 40B:
          beyond `initialization`, 10 × 200B and 10 × 40B, about 58,000, once (our sums); `plan`
          with several files says what `proportion`, `cooldown` and `code_properties` share.
Expected: Table 2. It says that balanced_text is best for natural language after the cooldown (32.9
          against 32.6 of text_only), and balanced_only best in total (24.2). §3.6's leads of 20%
          and 55% in code compare balanced_only before the cooldown with others after it; like with
          like they are 12% and 45%.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from itertools import product

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import ContrastConfig, MixtureChange, PhaseConfig
from experiments.code_properties import balanced_synthetic
from experiments.study.contrasts import difference, factorial, from_table
from experiments.study.phases import (
    CODE,
    CONTINUED_CODE,
    COOLED,
    PRETRAIN_TOKENS,
    TRUNKS,
    continued,
    cooldown,
    cooldown_mixture,
    mixture,
    pretrain,
    shared,
)
from experiments.study.study import make_study

_STAGES = ("pretraining", "continued", "cooldown")
_INIT = {"text": "text_init", "code": "balanced_init"}
# Before the cooldown. The names of shared phases are those of the other experiments.
_CONTINUED = {
    ("text", "text"): "text_text_continued",
    ("text", "code"): "text_code_continued",
    ("code", "text"): "code_text_only_continued",
    ("code", "code"): "balanced_text_continued",
}


def arms() -> dict[str, tuple[str, ...]]:
    """Returns variant → whether there is code in each of the three stages."""
    cells = product(("text", "code"), repeat=3)
    return {"balanced_text" if set(c) == {"code"} else "_".join(c): c for c in cells}


def factorial_phases() -> dict[str, PhaseConfig]:
    found = shared("text_init", "balanced_init")
    for (first, second), name in _CONTINUED.items():
        found[name] = continued(_INIT[first], CONTINUED_CODE if second == "code" else 0.0)
    for variant, (first, second, last) in arms().items():
        if variant != "balanced_text":
            weights = cooldown_mixture() if last == "code" else cooldown_mixture(0.0)
            found[f"{variant}_cooldown"] = cooldown(_CONTINUED[first, second], weights)
    return found


def one_cosine(code: float) -> PhaseConfig:
    """Returns an initializer with a share of code and its continuation, as one phase."""
    phase = pretrain(CODE if code == 1 else mixture(code), 2 * PRETRAIN_TOKENS)
    change = MixtureChange(at_tokens=PRETRAIN_TOKENS, weights=mixture(CONTINUED_CODE))
    return PhaseConfig(
        tokens=phase.tokens,
        mixture=phase.mixture,
        schedule=phase.schedule,
        mixture_changes=(change,),
    )


def phases() -> dict[str, PhaseConfig]:
    return {
        **shared(*COOLED.values()),
        **factorial_phases(),
        "balanced_synthetic_init": balanced_synthetic(),
        "balanced_synthetic_text_continued": continued("balanced_synthetic_init"),
        "recommended_cooldown": cooldown("balanced_synthetic_text_continued"),
        "balanced_text_one_cosine": one_cosine(0.5),
        "balanced_text_one_cosine_cooldown": cooldown("balanced_text_one_cosine"),
        "code_text_one_cosine": one_cosine(1.0),
        "code_text_one_cosine_cooldown": cooldown("code_text_one_cosine"),
    }


VARIANTS = {
    **COOLED,
    **{f"{name}_trunk": phase for name, phase in TRUNKS.items()},
    "balanced_init": "balanced_init",
    "code_init": "code_init",
    **{name: f"{name}_cooldown" for name in arms() if name != "balanced_text"},
    "recommended": "recommended_cooldown",
    "balanced_text_one_cosine": "balanced_text_one_cosine_cooldown",
    "code_text_one_cosine": "code_text_one_cosine_cooldown",
}


def contrasts() -> dict[str, ContrastConfig]:
    found = {}
    for metric in ("natural_language", "code", "total"):
        for name in ("balanced_text", "balanced_only", "code_text"):
            found[f"{metric}_{name}"] = from_table(
                VARIANTS, (name, "text_only"), metric, "different", family=metric
            )
    levels = {
        name: dict(zip(_STAGES, (stage == "code" for stage in cell), strict=True))
        for name, cell in arms().items()
    }
    for size in (1, 2, 3):
        for effect in _effects(size):
            found[f"effect_of_{'_by_'.join(effect)}"] = factorial(
                levels, effect, "reasoning_9_tasks", is_control=True
            )
    found["recommended"] = difference(
        ("recommended", "balanced_text"), "reasoning_9_tasks", "higher", family="ours"
    )
    for name in ("balanced_text", "code_text"):
        found[f"restart_of_{name}"] = difference(
            (f"{name}_one_cosine", name),
            "reasoning_9_tasks",
            "different",
            family="ours",
            is_control=True,
        )
    return found


def _effects(size: int) -> list[tuple[str, ...]]:
    """Returns the main effects, or the interactions of two or three stages."""
    if size == 1:
        return [(stage,) for stage in _STAGES]
    return list(zip(_STAGES, _STAGES[1:] + _STAGES[:1], strict=True)) if size == 2 else [_STAGES]


def get_config() -> ConfigDict:
    return to_config_dict(
        make_study(
            "recipes",
            phases=phases(),
            variants=VARIANTS,
            baseline="text_only",
            contrasts=contrasts(),
        )
    )
