"""Chip-hours and price of a study at an assumed MFU, and the MFU that the paper's numbers imply.

    chip-hours = tokens · FLOPs per token / (MFU · peak FLOP/s) / 3600

The MFU is an assumption, `config.cost.mfu`. The paper's chip-hours (which may include compilation,
checkpoints, evaluation and restarts) are listed with the result for calibration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.config.schema import ModelConfig, StudyConfig
from codepretrain.hardware.chips import CHIPS, Chip
from codepretrain.model.presets import preset
from codepretrain.model.size import flops_per_token

_SEQ_LEN = 8192


@dataclass(frozen=True, kw_only=True)
class Published:
    """Chip-hours that a paper reports."""

    what: str
    shape: str
    tokens: float
    chip_hours: float
    chip: str


# Aryabumi et al. 2024, "To Code, or Not To Code?", section 2: TPU v5e.
PUBLISHED = (
    Published(what="470M, 200B tokens", shape="470m", tokens=200e9, chip_hours=4736, chip="v5e"),
    Published(what="2.8B, 200B tokens", shape="2_8b", tokens=200e9, chip_hours=13824, chip="v5e"),
    Published(what="470M, 40B cooldown", shape="470m", tokens=40e9, chip_hours=1024, chip="v5e"),
)


def chip_hours(tokens: float, *, model: ModelConfig, seq_len: int, chip: Chip, mfu: float) -> float:
    """Returns the chip-hours of training at an MFU."""
    return tokens * flops_per_token(model, seq_len) / (mfu * chip.peak_flops_per_s) / 3600


def implied_mfu(published: Published) -> float:
    """Returns the MFU at which training takes the published chip-hours."""
    at_peak = chip_hours(
        published.tokens,
        model=preset(published.shape),
        seq_len=_SEQ_LEN,
        chip=CHIPS[published.chip],
        mfu=1.0,
    )
    return at_peak / published.chip_hours


def study_cost(
    config: StudyConfig, phase_tokens: Mapping[str, int], *, chip: Chip, num_chips: int
) -> dict[str, Any]:
    """Returns chip-hours, hours on the pod and price, per phase and in total, JSON-ready.

    phase_tokens: tokens of each phase to train. `calibration` holds the MFU that the paper's
    numbers imply and, where the study trains one of the paper's models, the chip-hours that it
    takes at that MFU.
    """
    seq_len, mfu, price = config.data.max_seq_len, config.cost.mfu, config.cost.price_per_chip_hour

    def hours(tokens: float, at_mfu: float) -> float:
        return chip_hours(tokens, model=config.model, seq_len=seq_len, chip=chip, mfu=at_mfu)

    def row(tokens: int) -> dict[str, Any]:
        needed = hours(tokens, mfu)
        return {
            "tokens": tokens,
            "chip_hours": needed,
            "pod_hours": needed / num_chips,
            "price": None if price is None else needed * price,
        }

    total = sum(phase_tokens.values())
    return {
        "mfu": mfu,
        "price_per_chip_hour": price,
        "phases": {name: row(tokens) for name, tokens in phase_tokens.items()},
        "total": row(total),
        "calibration": [
            {
                "published": entry.what,
                "chip": entry.chip,
                "chip_hours": entry.chip_hours,
                "implied_mfu": implied_mfu(entry),
                "study_chip_hours": hours(total, implied_mfu(entry))
                if _is_this_model(config, entry)
                else None,
            }
            for entry in PUBLISHED
        ],
    }


def _is_this_model(config: StudyConfig, entry: Published) -> bool:
    return config.model == preset(entry.shape) and config.data.max_seq_len == _SEQ_LEN
