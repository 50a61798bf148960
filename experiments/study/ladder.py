"""The ladder's studies: small models of many mixtures, from which larger ones are predicted.

    size    mixtures    lengths, billions of tokens    replicates
    30m     ten         10, 20, 40                     3; 9 at 20B: 3 initializations × 3 orders
    125m    ten         10, 20, 40                     3
    470m    six doses   10, 20; target 200             3 (the target is `proportion`'s runs)

Each run is a cosine of its own length, from the same peak to the same end. The vocabulary and the
rows are the study's at every size, so that losses compare and nothing is prepared twice; the laws
count parameters without the embedding, which most of a small model consists of.

    L(N, D) of a mixture      three sizes × three lengths without their largest corner
    mixture law               ten mixtures of three sources at one size and length
    decision accuracy         the six doses at a small size against the target

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`; all values here are ours
but for the six doses and the 200B of the target.
"""

import dataclasses
from collections.abc import Mapping

from codepretrain.config.schema import (
    ContrastConfig,
    ModelConfig,
    PhaseConfig,
    ReplicateConfig,
    StudyConfig,
)
from codepretrain.model.presets import preset
from experiments.study.contrasts import difference, dose_trend
from experiments.study.evaluations import BITS_OF_CODE, BITS_OF_TEXT
from experiments.study.phases import mixture, pretrain
from experiments.study.sources import DATA
from experiments.study.study import REPLICATES, make_study

DOSES = {f"code_{percent}": percent / 100 for percent in (0, 25, 50, 75, 90, 100)}  # paper
OF_DOSES = {name: mixture(code) for name, code in DOSES.items()}
# Web code and markup apart from each other: the doses alone have a fixed ratio of them.
MIXTURES = OF_DOSES | {
    "web_25": {"text": 0.75, "web_code": 0.25},
    "web_100": {"web_code": 1.0},
    "markup_25": {"text": 0.75, "markup": 0.25},
    "markup_50": {"text": 0.5, "markup": 0.5},
}
TARGET_BILLIONS = 200  # paper
COMMON_BILLIONS = 20  # at every size

# The first three are those of the other experiments.
CROSSED = (
    *REPLICATES,
    *(
        ReplicateConfig(initialization_seed=i, data_order_seed=j)
        for i in range(3)
        for j in range(3)
        if i != j
    ),
)


def model(size: str) -> ModelConfig:
    """Returns a preset with the study's vocabulary."""
    return dataclasses.replace(preset(size), vocab_size=DATA.tokenizer.vocab_size)


def variant(name: str, billions: int) -> str:
    return f"{name}_{billions}b"


def runs(
    mixtures: Mapping[str, Mapping[str, float]], billions: tuple[int, ...]
) -> dict[str, PhaseConfig]:
    """Returns a phase for each mixture and length, named as its variant."""
    return {
        variant(name, length): pretrain(weights, length * 1e9)
        for name, weights in mixtures.items()
        for length in billions
    }


def contrasts() -> dict[str, ContrastConfig]:
    """Returns what each size is asked: the same questions, to see whether the answers agree."""
    doses = {variant(name, COMMON_BILLIONS): code for name, code in DOSES.items()}
    quarter, none = (variant(name, COMMON_BILLIONS) for name in ("code_25", "code_0"))
    return {
        "trend_of_text_bits": dose_trend(doses, BITS_OF_TEXT, "higher"),
        "trend_of_code_bits": dose_trend(doses, BITS_OF_CODE, "lower"),
        "trend_of_reasoning": dose_trend(doses, "reasoning_9_tasks", "different"),
        "code_25": difference((quarter, none), BITS_OF_TEXT, "higher", family="quarter"),
    }


def ladder(
    size: str,
    phases: Mapping[str, PhaseConfig],
    *,
    replicates: tuple[ReplicateConfig, ...] = REPLICATES,
    num_replicates: Mapping[str, int] | None = None,
) -> StudyConfig:
    return make_study(
        f"ladder_{size}",
        model=model(size),
        phases=phases,
        variants={name: name for name in phases},
        baseline=variant("code_0", COMMON_BILLIONS),
        contrasts=contrasts(),
        replicates=replicates,
        num_replicates=num_replicates,
    )
