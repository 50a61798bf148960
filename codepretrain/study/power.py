"""What effect each registered contrast can find, before the study is paid for.

    detectable   the true effect that the test finds with probability 0.8 (two-sided)
    floor        the same with infinitely many replicates: items alone

The level is 0.05, divided by the number of contrasts in the family: what Holm's method asks of the
smallest p-value. So the first finding of a family is planned for; later ones are easier.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codepretrain.config.schema import ContrastConfig, StudyConfig
from codepretrain.evals.contrast_scores import contrast_units, full_contrasts
from codepretrain.hardware.chips import Chip
from codepretrain.inference.power import (
    Design,
    equivalence_power,
    floor,
    minimum_detectable_effect,
    power,
)
from codepretrain.podplan.cost import chip_hours
from codepretrain.study.graph import Phase
from codepretrain.study.replication import Replication, replication
from codepretrain.study.spreads import Counts, Known, Spread, assumed_spread, filled

ALPHA, POWER = 0.05, 0.8
NUMBERS = (2, 3, 5, 8)  # of replicates, in the table of every contrast
_MOST = 40  # replicates that are tried to reach an effect


@dataclass(frozen=True)
class Assumptions:
    """counts: of items. run_sd: contrast → standard deviation of runs that the user gives.

    measured: contrast → its spread in finished runs, as far as they show it.
    """

    counts: Counts
    run_sd: Mapping[str, float]
    measured: Mapping[str, Spread]


def power_plan(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    fingerprints: Mapping[str, str],
    assumptions: Assumptions,
    *,
    chip: Chip,
) -> dict[str, Any]:
    """Returns JSON-ready values: for each contrast what it can find, and what its runs cost.

    Chip-hours of a contrast are those of its arms; contrasts may share them.
    """

    def hours(tokens: int) -> float:
        seq_len = config.data.max_seq_len
        return chip_hours(
            tokens, model=config.model, seq_len=seq_len, chip=chip, mfu=config.cost.mfu
        )

    contrasts = full_contrasts(config)
    sizes = Counter(contrast.family for contrast in contrasts.values())
    found = {}
    for name, contrast in contrasts.items():
        unit = min(contrast_units(config, f"config.contrasts.{name}", contrast))[0]
        given = assumptions.run_sd.get(name)
        assumed = assumed_spread(
            config, contrast, unit=unit, counts=assumptions.counts, run_sd=given
        )
        measured = assumptions.measured.get(name)
        if measured is not None and given is not None:
            measured = replace(measured, run=None)
        spread = filled(measured, assumed)
        runs = replication(config, phases, fingerprints, list(contrast.arms))
        found[name] = {
            "unit": unit,
            "num_in_family": sizes[contrast.family],
            **_planned(contrast, spread, runs, alpha=ALPHA / sizes[contrast.family]),
            "chip_hours": {
                number: hours(_tokens(config, phases, fingerprints, list(contrast.arms), number))
                for number in sorted({*NUMBERS, max(runs.counts.values())})
            },
        }
    once = {fingerprints[name]: phase.tokens for name, phase in phases.items()}
    return {
        "chip": chip.name,
        "mfu": config.cost.mfu,
        "power": POWER,
        "chip_hours": hours(sum(once.values())),
        "contrasts": found,
    }


def _planned(
    contrast: ContrastConfig, spread: Spread, runs: Replication, *, alpha: float
) -> dict[str, Any]:
    """Returns what a contrast can find with the replicates that it has, and with others."""
    counts = list(runs.counts.values())

    @functools.cache
    def detectable(numbers: tuple[int, ...]) -> float | None:
        if spread.run is None or min(numbers) < 2:
            return None
        design = _design(contrast, spread, numbers)
        return minimum_detectable_effect(design, alpha=alpha, power=POWER)

    targets = [
        _target(contrast, spread, counts, what, alpha=alpha)
        for what in ("margin", "published_effect")
    ]
    return {
        "metric": contrast.metric,
        "arms": contrast.arms,
        "replicates": dict(runs.counts),
        "is_from_one_checkpoint": runs.is_from_one_checkpoint,
        "direction": contrast.direction,
        "alpha": alpha,
        "run_sd": _known(spread.run),
        "item_error": _known(spread.item),
        "num_items": spread.num_items,
        "floor": _floor(contrast, spread, alpha),
        "detectable": detectable(tuple(counts)),
        "detectable_with": {n: detectable((n,) * len(counts)) for n in NUMBERS},
        "targets": [target for target in targets if target is not None],
    }


def _target(
    contrast: ContrastConfig, spread: Spread, counts: Sequence[int], what: str, *, alpha: float
) -> dict[str, Any] | None:
    """Returns with what probability the margin or the published effect is found; None without it.

    num_replicates: of every arm, that find it with probability 0.8; None if `_MOST` do not.
    """
    effect = getattr(contrast, what)
    if effect is None:
        return None
    is_equivalence = what == "margin" and contrast.direction == "equivalent"

    def probability(numbers: Sequence[int]) -> float:
        design = _design(contrast, spread, numbers)
        if is_equivalence:
            return equivalence_power(design, effect, alpha=alpha)
        return power(design, abs(effect), alpha=alpha)

    lowest = _floor(contrast, spread, alpha)
    is_below = lowest is not None and not is_equivalence and abs(effect) < lowest
    is_known = spread.run is not None
    return {
        "what": what,
        "effect": effect,
        "is_equivalence": is_equivalence,
        "is_below_floor": is_below,
        "probability": probability(counts) if is_known and min(counts) > 1 else None,
        "num_replicates": _fewest(lambda n: probability([n] * len(counts)))
        if is_known and not is_below
        else None,
    }


def _fewest(probability: Callable[[int], float]) -> int | None:
    """Returns the fewest replicates whose probability, which grows with them, is enough."""
    low, high = 1, _MOST
    if probability(high) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if probability(middle) >= POWER else (middle, high)
    return high


def _floor(contrast: ContrastConfig, spread: Spread, alpha: float) -> float | None:
    if spread.item is None:
        return None
    return floor(_item_error(contrast, spread), alpha=alpha, power=POWER)


def _item_error(contrast: ContrastConfig, spread: Spread) -> float:
    """Returns the items' part of the error of the contrast, 0 where it is unknown."""
    squares = sum(weight**2 for weight in contrast.arms.values())
    return math.sqrt(squares / 2) * spread.item.value if spread.item else 0.0


def _design(contrast: ContrastConfig, spread: Spread, numbers: Sequence[int]) -> Design:
    """Returns the design of a contrast; paired replicates are assumed to be uncorrelated."""
    assert spread.run is not None
    weights = tuple(contrast.arms.values())
    squares = sum(weight**2 for weight in weights)
    item = _item_error(contrast, spread)
    run, rest = spread.run.value, spread.rest_sd
    if contrast.is_paired:
        return Design(
            num_replicates=(numbers[0],),
            run_sd=(run * math.sqrt(squares),),
            item_error=item,
            item_freedom=spread.item_freedom,
            rest_sd=rest * math.sqrt(squares),
        )
    return Design(
        num_replicates=tuple(numbers),
        run_sd=(run,) * len(weights),
        item_error=item,
        item_freedom=spread.item_freedom,
        rest_sd=rest,
        weights=weights,
    )


def _tokens(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    fingerprints: Mapping[str, str],
    variants: Sequence[str],
    number: int,
) -> int:
    """Returns the tokens of a number of replicates of the variants, shared phases once."""
    once: dict[str, Phase] = {}
    for variant in variants:
        for phase in phases[config.variants[variant]].path:
            once[fingerprints[phase.name]] = phase
    replicated = set()
    for variant in variants:
        for phase in reversed(phases[config.variants[variant]].path):
            if not phase.config.is_replicated:
                break
            replicated.add(fingerprints[phase.name])
    return sum(p.tokens * (number if key in replicated else 1) for key, p in once.items())


def _known(known: Known | None) -> dict[str, Any] | None:
    if known is None:
        return None
    return {"value": known.value, "source": known.source, "is_assumed": known.is_assumed}
