"""What a phase with `kind="average"` averages. Others import it from `config/schema.py`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """Which checkpoints are averaged: exactly one of three kinds.

    A soup, with several `members`: the checkpoints at the ends of these phases, θ = Σ wᵢ·θᵢ. Every
    weight is 1/n, unless `weights` has one for each member, in order; they are normalized.
    `last_k` of one member: the mean of its last k permanent checkpoints.
    `ema_decay` of one member: all its permanent checkpoints, exponentially weighted. The newest has
    a weight in proportion to 1, the one before to `ema_decay`, the one before that to `ema_decay`²,
    and so on.

    The permanent checkpoints of a member are here those of every
    `config.checkpoint.permanent_interval_steps` steps and that of its end. Checkpoints that are
    kept for other phases do not count: they would make the average depend on what else a study has.

    Source: Wortsman et al. 2022 (arXiv 2203.05482), the uniform soup; OLMo 2 (arXiv 2501.00656)
    averages the anneals of one trunk in this way. `last_k` is LAWA: Kaddour 2022 (arXiv
    2209.14981), and in pre-training Sanyal et al. 2023 (arXiv 2306.03241). They average at several
    points of a training run, here it is done at its end. `ema_decay` is per checkpoint, not per
    step, and over checkpoints that are stored anyway. Karras et al. 2023 (arXiv 2312.02696), who
    call theirs post-hoc too, store averages of every step and combine those.
    """

    members: tuple[str, ...]
    last_k: int | None = None
    ema_decay: float | None = None
    weights: tuple[float, ...] = ()
