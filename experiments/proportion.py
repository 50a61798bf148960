"""How much code? (§3.3 of arXiv 2408.10914, 470M parameters.)

Six models from scratch, 200B tokens each, with 0, 25, 50, 75, 90 and 100% code: `code_0` to
`code_100`. 50% is the balanced initializer and 100% the code initializer of
`experiments/initialization.py`.

With equally many tokens in all arms, more code is less text. Controls that the paper lacks (ours):

    text_50b … text_200b    text alone: a stable trunk with a decay at each length. How many tokens
                            of text is a difference worth? How much of it is the missing text?
    text_repeated           code_0 up to 150B, then its first 50B again: 25% repetition, no code
    text_fresh              the same with 50B new tokens: the same rates, for the comparison
    additive_50             200B text + 200B code: as much text as code_0
    scrambled_25            code_25 with the words of the code in random order

Run:      codepretrain plan --config experiments/proportion.py [--power]
          codepretrain plan --config experiments/initialization.py experiments/proportion.py
Cost:     the paper reports 4,736 chip-hours (TPU v5e) per 200B tokens at 470M: about 28,000 for its
          six arms and 23,000 for the controls, once (our sums); 19,000 of both are shared with
          `initialization`. `plan` has the sums at an assumed utilization.
Expected: reasoning best at 25% (+3.4% over none), -18.3% at 100%. Knowledge -3.4% at 25%, -31% at
          75%, -86% at 100%. Code linear in the share; at 100% 2.6 times that of 25%. In percent of
          scores that were not published, so the contrasts have no published effect. Table 2's 44.7
          (100%) and 52.0 (50%) are at odds with these percentages; "linear" from 0 would be 4
          times, not 2.6.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import ContrastConfig, PhaseConfig, ScheduleConfig
from experiments.study.contrasts import difference, dose_trend
from experiments.study.evaluations import BITS_OF_CODE, BITS_OF_TEXT
from experiments.study.phases import (
    END_RATE,
    PEAK_RATE,
    TEXT,
    WARMUP_STEPS,
    mixture,
    pretrain,
    scaled,
    shared,
)
from experiments.study.study import make_study

DOSES = {f"code_{percent}": percent / 100 for percent in (0, 25, 50, 75, 90, 100)}  # paper
BILLIONS = (50, 100, 150, 200)  # ours: of text alone
_DECAY = 0.2  # ours: the last fifth of each length
_SCRAMBLED = {"scrambled_web_code": 0.8, "scrambled_markup": 0.2}


def stable_text() -> dict[str, PhaseConfig]:
    """Returns text alone at several lengths: one trunk at the peak rate, a decay for each."""
    trunk = PhaseConfig(
        tokens=int(max(BILLIONS) * (1 - _DECAY) * 1e9),
        mixture=TEXT,
        schedule=ScheduleConfig(
            shape="constant", warmup_steps=WARMUP_STEPS, peak_learning_rate=PEAK_RATE
        ),
    )
    decays = {
        f"text_{billions}b": PhaseConfig(
            parent="text_stable",
            parent_tokens=int(billions * (1 - _DECAY) * 1e9),
            tokens=int(billions * _DECAY * 1e9),
            mixture=TEXT,
            # The end rate of the cosine, so that the last arm differs from code_0 in shape alone.
            schedule=ScheduleConfig(shape="linear", end_learning_rate=END_RATE),
        )
        for billions in BILLIONS
    }
    return {"text_stable": trunk, **decays}


def last_quarter(data_order: str) -> PhaseConfig:
    """Returns the last 50B tokens of code_0, with the rate falling in a line."""
    return PhaseConfig(
        parent="text_init",
        parent_tokens=int(150e9),
        tokens=int(50e9),
        mixture=TEXT,
        schedule=ScheduleConfig(shape="linear", end_learning_rate=END_RATE),
        data_order=data_order,
    )


def phases() -> dict[str, PhaseConfig]:
    return {
        **shared("text_init"),
        "code_25_init": pretrain(mixture(0.25)),
        **shared("balanced_init"),
        "code_75_init": pretrain(mixture(0.75)),
        "code_90_init": pretrain(mixture(0.9)),
        **shared("code_init"),
        **stable_text(),
        "text_repeated": last_quarter("restart"),
        "text_fresh": last_quarter("continue"),
        **shared("balanced_pretrain"),
        "scrambled_25_init": pretrain(scaled(TEXT, 0.75) | scaled(_SCRAMBLED, 0.25)),
    }


VARIANTS = {
    "code_0": "text_init",
    "code_25": "code_25_init",
    "code_50": "balanced_init",
    "code_75": "code_75_init",
    "code_90": "code_90_init",
    "code_100": "code_init",
    **{f"text_{billions}b": f"text_{billions}b" for billions in BILLIONS},
    "text_repeated": "text_repeated",
    "text_fresh": "text_fresh",
    "additive_50": "balanced_pretrain",
    "scrambled_25": "scrambled_25_init",
}


def contrasts() -> dict[str, ContrastConfig]:
    return {
        "reasoning_25": difference(("code_25", "code_0"), "reasoning", "higher"),
        "reasoning_100": difference(("code_100", "code_0"), "reasoning", "lower"),
        "knowledge_25": difference(("code_25", "code_0"), "world_knowledge", "lower"),
        "knowledge_100": difference(("code_100", "code_0"), "world_knowledge", "lower"),
        "trend_of_reasoning": dose_trend(DOSES, "reasoning", "different"),
        "trend_of_knowledge": dose_trend(DOSES, "world_knowledge", "lower"),
        "trend_of_code": dose_trend(DOSES, "code", "higher"),
        "trend_of_text_bits": dose_trend(DOSES, BITS_OF_TEXT, "higher"),
        "trend_of_code_bits": dose_trend(DOSES, BITS_OF_CODE, "lower"),
        # Does the code do it, or its words? Without structure nothing is expected.
        "structure": difference(
            ("code_25", "scrambled_25"),
            "reasoning_9_tasks",
            "higher",
            family="controls",
            is_control=True,
        ),
        "words": difference(
            ("scrambled_25", "text_150b"),
            "reasoning_9_tasks",
            "equivalent",
            family="controls",
            is_control=True,
        ),
        # As much text in both arms, with and without code.
        "additive_25": difference(
            ("code_25", "text_150b"),
            "reasoning_9_tasks",
            "higher",
            family="controls",
            is_control=True,
        ),
        "additive_50": difference(
            ("additive_50", "code_0"),
            "reasoning_9_tasks",
            "higher",
            family="controls",
            is_control=True,
        ),
        # The replicates of both arms have one trunk each: code_0 up to 150B.
        "repetition": difference(
            ("text_repeated", "text_fresh"),
            BITS_OF_TEXT,
            "equivalent",
            family="controls",
            is_control=True,
            is_paired=True,
        ),
    }


def get_config() -> ConfigDict:
    return to_config_dict(
        make_study(
            "proportion",
            phases=phases(),
            variants=VARIANTS,
            baseline="code_0",
            contrasts=contrasts(),
        )
    )
