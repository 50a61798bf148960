"""The replicates of a study: their number from the command line, and their checks."""

import dataclasses

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import ReplicateConfig, StudyConfig
from codepretrain.config.values import MAX_REPLICATES
from codepretrain.errors import UserError


def seeds(config: StudyConfig) -> tuple[ReplicateConfig, ...]:
    """Returns the seeds of every replicate of the study, of which there is at least one."""
    single = ReplicateConfig(initialization_seed=config.seed, data_order_seed=config.seed)
    return config.replicates or (single,)


def count_of_variant(config: StudyConfig, variant: str) -> int:
    """Returns how many replicates of a variant are trained."""
    last = config.phases[config.variants[variant]]
    return config.num_replicates.get(variant, len(seeds(config))) if last.is_replicated else 1


def with_replicates(config: StudyConfig, count: int) -> StudyConfig:
    """Returns the study with its first `count` replicates, and others if it has fewer.

    Both seeds of an added replicate are the smallest number that is not a seed of the study yet,
    so that the first replicate remains the study without replicates.

    Raises:
      UserError: the count is 0, or too large.
    """
    if not 1 <= count <= MAX_REPLICATES:
        raise UserError(
            f"config.replicates: expected 1 to {MAX_REPLICATES:,} replicates, got {count:,}"
        )
    found = list(seeds(config)[:count])
    used = {seed for one in found for seed in (one.initialization_seed, one.data_order_seed)}
    unused = (seed for seed in range(3 * MAX_REPLICATES) if seed not in used)
    while len(found) < count:
        seed = next(unused)
        found.append(ReplicateConfig(initialization_seed=seed, data_order_seed=seed))
    return dataclasses.replace(config, replicates=tuple(found), seed=0)


def check_replicates(config: StudyConfig) -> None:
    """Raises UserError for equal replicates, and for numbers that the study does not have."""
    replicates = config.replicates
    if replicates and config.seed:
        raise UserError(
            f"config.seed = {config.seed} has no effect beside config.replicates: leave it out"
        )
    if len(replicates) > MAX_REPLICATES:
        raise UserError(
            f"config.replicates: expected at most {MAX_REPLICATES:,}, got {len(replicates):,}"
        )
    for i, replicate in enumerate(replicates):
        if replicate in replicates[:i]:
            raise UserError(
                f"config.replicates[{i}] has the seeds of config.replicates"
                f"[{replicates.index(replicate)}]: two equal trainings are one replicate"
            )
    for variant, count in config.num_replicates.items():
        path = f"config.num_replicates.{variant}"
        if variant not in config.variants:
            near = suggestion(variant, list(config.variants))
            raise UserError(f"{path}: there is no variant {variant!r}{near}")
        if count > max(1, len(replicates)):
            raise UserError(
                f"{path} = {count:,}: config.replicates has {len(replicates):,} entries; add seeds"
            )
