"""The phases that several experiments have, each trained once for all of them.

    text_init             200B text
    balanced_init         100B text + 100B code ──── balanced_text_continued ─── …_cooldown
    code_init             200B code             ──── code_text_continued ─────── …_cooldown
    text_pretrain         400B text             ──── text_cooldown
    balanced_pretrain     200B text + 200B code ──── balanced_cooldown

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from collections.abc import Mapping

from codepretrain.config.schema import PhaseConfig, ScheduleConfig

PRETRAIN_TOKENS = int(200e9)  # paper
COOLDOWN_TOKENS = int(40e9)  # paper
CONTINUED_CODE = 0.1  # paper: 10% code is kept
COOLDOWN_CODE = 0.2  # paper

PEAK_RATE = 1e-3  # ours: a sister paper of the same group
END_RATE = 3e-4  # ours: likewise
WARMUP_STEPS = 1325  # paper
COSINE = ScheduleConfig(
    shape="cosine",  # paper
    warmup_steps=WARMUP_STEPS,
    peak_learning_rate=PEAK_RATE,
    end_learning_rate=END_RATE,
)

TEXT = {"text": 1.0}
CODE = {"web_code": 0.8, "markup": 0.2}  # paper, of the code initializer


def scaled(mixture: Mapping[str, float], share: float) -> dict[str, float]:
    """Returns the part of a larger mixture that a mixture is `share` of."""
    return {source: round(weight * share, 6) for source, weight in mixture.items() if share}


def mixture(code: float) -> dict[str, float]:
    """Returns weights of text with a share of code.

    Code is divided as in the code initializer (ours: not said of the other phases).
    """
    return scaled(TEXT, 1 - code) | scaled(CODE, code)


# paper: the kinds; ours: their weights. Of instructions there are only Dolly's 3M tokens: 0.02% of
# 40B are 2.7 epochs of them.
_COOLDOWN_TEXT = {"text_quality": 0.81225, "text_math": 0.1875, "text_instruct": 0.00025}


def cooldown_mixture(code: float = COOLDOWN_CODE) -> dict[str, float]:
    """Returns the cooldown's weights with a share of web code (ours: that it is web code)."""
    return scaled(_COOLDOWN_TEXT, 1 - code) | scaled({"web_code": 1.0}, code)


def pretrain(weights: Mapping[str, float], tokens: float = PRETRAIN_TOKENS) -> PhaseConfig:
    return PhaseConfig(tokens=int(tokens), mixture=dict(weights), schedule=COSINE)


def continued(parent: str, code: float = CONTINUED_CODE) -> PhaseConfig:
    """Continued pre-training, with a fresh schedule and optimizer."""
    return PhaseConfig(
        parent=parent,
        tokens=PRETRAIN_TOKENS,  # paper: 180B text + 20B code
        mixture=mixture(code),
        schedule=COSINE,  # ours: the paper does not say whether the rate restarts
        carry_optimizer=False,  # ours: not said
        data_order="continue",  # ours: not said
    )


def cooldown(parent: str, weights: Mapping[str, float] | None = None) -> PhaseConfig:
    """An anneal on the cooldown's data with 20% code, or on other data."""
    return PhaseConfig(
        parent=parent,
        tokens=COOLDOWN_TOKENS,
        mixture=dict(weights or cooldown_mixture()),
        schedule=ScheduleConfig(
            shape="linear",  # paper
            peak_learning_rate=None,  # ours: anneals from the parent's rate
            end_learning_rate=1e-6,  # paper
        ),
        carry_optimizer=True,  # ours: not said
    )


# paper: the budgets of Table 2; `text_init` is the arm without code of §3.3.
SHARED = {
    "text_init": pretrain(TEXT),
    "balanced_init": pretrain(mixture(0.5)),
    "code_init": pretrain(CODE),
    "text_pretrain": pretrain(TEXT, 400e9),
    "balanced_pretrain": pretrain(mixture(0.5), 400e9),
    "balanced_text_continued": continued("balanced_init"),
    "code_text_continued": continued("code_init"),
    "text_cooldown": cooldown("text_pretrain"),
    "balanced_cooldown": cooldown("balanced_pretrain"),
    "balanced_text_cooldown": cooldown("balanced_text_continued"),
    "code_text_cooldown": cooldown("code_text_continued"),
}

# Variant → its last phase before and after the cooldown; paper.
TRUNKS = {
    "text_only": "text_pretrain",
    "balanced_only": "balanced_pretrain",
    "balanced_text": "balanced_text_continued",
    "code_text": "code_text_continued",
}
COOLED = {
    "text_only": "text_cooldown",
    "balanced_only": "balanced_cooldown",
    "balanced_text": "balanced_text_cooldown",
    "code_text": "code_text_cooldown",
}


def shared(*names: str) -> dict[str, PhaseConfig]:
    """Returns shared phases by name, each after its ancestors."""
    found: dict[str, PhaseConfig] = {}
    for name in names:
        found |= shared(*SHARED[name].origins)
        found[name] = SHARED[name]
    return found
