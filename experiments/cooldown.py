"""Code at the end: what does it add to a cooldown? (§3.5 of arXiv 2408.10914, 470M parameters.)

Four trunks, those of Table 2: text_only, balanced_only, balanced_text and code_text. From each

    …_trunk                 no cooldown
    …_cooled                40B of the cooldown's data, 20% code
    …_without_code          the same without code
    …_own                   40B of the trunk's own mixture, annealed

The paper has the first three, of balanced_text alone, and `…_cooled` of all. Of balanced_text also
(ours):

    …_code_10, …_code_40    10% and 40% code, for the dose
    …_constant              the cooldown's data with 20% code, without annealing
    …_own_constant          the trunk's own mixture, without annealing: 40B more of the same

`own`, `own_constant`, `cooled` and `constant` are a factorial of data × annealing. The paper's
comparison, with code against none, changes both, and has 40B tokens more.

Run:      codepretrain plan --config experiments/cooldown.py [--power]
          codepretrain plan --config experiments/initialization.py experiments/cooldown.py
Cost:     beyond `initialization`, 12 cooldowns of 40B: the paper reports 1,024 chip-hours (TPU v5e)
          for each, about 12,000 in total, once (our sum).
Expected: with code against none: reasoning +3.6%, knowledge +10.1%, code +20%; without code against
          none: knowledge +3.1% only. Table 2 agrees with the first (53.0 → 54.9, 9.9 → 10.9,
          4.8 → 5.8). The introduction's 3.7, 6.8 and 20% are against the cooldown without code. For
          text_only, Table 2 has reasoning +5.1 points; for code_text, -1.2.

Arms of one trunk are compared trunk by trunk (`is_paired`): replicate k of each starts from trunk
k.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

import dataclasses

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import ContrastConfig, PhaseConfig, ScheduleConfig
from experiments.study.contrasts import difference, dose_trend, factorial, from_table
from experiments.study.phases import (
    CONTINUED_CODE,
    COOLED,
    TEXT,
    TRUNKS,
    cooldown,
    cooldown_mixture,
    mixture,
    shared,
)
from experiments.study.study import make_study

OWN = {  # the mixture with which each trunk ends
    "text_only": TEXT,
    "balanced_only": mixture(0.5),
    "balanced_text": mixture(CONTINUED_CODE),
    "code_text": mixture(CONTINUED_CODE),
}
PAPERS = "balanced_text"  # paper: the only trunk of §3.5
# 20% is the cooldown itself; ours: 10 and 40%
DOSES = {
    f"{PAPERS}_without_code": 0.0,
    f"{PAPERS}_code_10": 0.1,
    f"{PAPERS}_cooled": 0.2,
    f"{PAPERS}_code_40": 0.4,
}


def constant(phase: PhaseConfig) -> PhaseConfig:
    """Returns a cooldown that keeps the parent's rate instead."""
    return dataclasses.replace(phase, schedule=ScheduleConfig(shape="constant"))


def phases() -> dict[str, PhaseConfig]:
    found = shared(*COOLED.values())
    for name, trunk in TRUNKS.items():
        found[f"{name}_without_code"] = cooldown(trunk, cooldown_mixture(0.0))
        found[f"{name}_own"] = cooldown(trunk, OWN[name])
    trunk = TRUNKS[PAPERS]
    return {
        **found,
        f"{PAPERS}_code_10": cooldown(trunk, cooldown_mixture(0.1)),
        f"{PAPERS}_code_40": cooldown(trunk, cooldown_mixture(0.4)),
        f"{PAPERS}_constant": constant(cooldown(trunk)),
        f"{PAPERS}_own_constant": constant(cooldown(trunk, OWN[PAPERS])),
    }


def variants() -> dict[str, str]:
    named = {f"{name}_trunk": phase for name, phase in TRUNKS.items()}
    named |= {f"{name}_cooled": phase for name, phase in COOLED.items()}
    return named | {name: name for name in phases() if name not in shared(*COOLED.values())}


FACTORIAL = {
    f"{PAPERS}_own_constant": {"data": False, "annealing": False},
    f"{PAPERS}_own": {"data": False, "annealing": True},
    f"{PAPERS}_constant": {"data": True, "annealing": False},
    f"{PAPERS}_cooled": {"data": True, "annealing": True},
}


def contrasts() -> dict[str, ContrastConfig]:
    found = {}
    for metric in ("reasoning", "world_knowledge", "code"):
        found[f"{metric}_with_code"] = from_table(
            variants(),
            (f"{PAPERS}_cooled", f"{PAPERS}_trunk"),
            metric,
            "higher",
            family="with_code",
            is_paired=True,
        )
    found["knowledge_without_code"] = difference(
        (f"{PAPERS}_without_code", f"{PAPERS}_trunk"),
        "world_knowledge",
        "higher",
        family="without_code",
        published=9.9 * 0.031,  # paper: +3.1% of Table 2's 9.9
        published_score=9.9,
        is_paired=True,
    )
    for name in TRUNKS:
        found[f"code_in_cooldown_of_{name}"] = difference(
            (f"{name}_cooled", f"{name}_without_code"),
            "reasoning_9_tasks",
            "higher",
            family="trunks",
            is_paired=True,
        )
    found["dose_of_code"] = dose_trend(DOSES, "code", "higher")
    found["dose_of_reasoning"] = dose_trend(DOSES, "reasoning_9_tasks", "different")
    for effect in (("data",), ("annealing",), ("data", "annealing")):
        found[f"{'_by_'.join(effect)}"] = factorial(
            FACTORIAL, effect, "reasoning_9_tasks", is_control=True
        )
    return found


def get_config() -> ConfigDict:
    return to_config_dict(
        make_study(
            "cooldown",
            phases=phases(),
            variants=variants(),
            baseline=f"{PAPERS}_trunk",
            contrasts=contrasts(),
        )
    )
