"""Which phases are trained in which replicates, and what they are called.

    trunk      ── cooldown            variants: with_code → cooldown, 3 replicates
    trunk-r1   ── cooldown-r1
    trunk-r2   ── cooldown-r2         initialization and data order from the replicate's two seeds

The phases of the first replicate keep their names. A phase that several variants share has as many
replicates as the variant with the most; one that no variant needs has one, as has a phase with
`is_replicated=False`, from which the children of all replicates start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codepretrain.config.replicates import count_of_variant, seeds
from codepretrain.config.schema import StudyConfig

if TYPE_CHECKING:
    from codepretrain.study.graph import Phase


def counts_of_phases(config: StudyConfig) -> dict[str, int]:
    """Returns how many replicates of each phase are trained, by the phase's name."""
    counts = dict.fromkeys(config.phases, 1)
    for variant, last in config.variants.items():
        name: str | None = last
        while name is not None and config.phases[name].is_replicated:
            counts[name] = max(counts[name], count_of_variant(config, variant))
            name = config.phases[name].parent
    return counts


def replicate_name(name: str, replicate: int) -> str:
    """Returns what a replicate of a phase is called; no phase of a study file has such a name."""
    return f"{name}-r{replicate}" if replicate else name


def all_phases(config: StudyConfig) -> list[str]:
    """Returns the names of the phases of all replicates, the first replicate's first."""
    counts = counts_of_phases(config)
    return [
        replicate_name(name, replicate)
        for replicate in range(len(seeds(config)))
        for name, count in counts.items()
        if replicate < count
    ]


def last_phases(config: StudyConfig, variant: str) -> list[str]:
    """Returns the name of the last phase of every replicate of a variant."""
    count = count_of_variant(config, variant)
    return [replicate_name(config.variants[variant], replicate) for replicate in range(count)]


@dataclass(frozen=True)
class Replication:
    """What the replicates of the arms of a contrast allow to be concluded.

    Attributes:
      counts: variant → replicates that are independent of each other. Runs that start from one
        checkpoint, such as cooldowns of one trunk, are one.
      is_from_one_checkpoint: whether all runs of all arms start from one checkpoint. Then its
        spread is no part of the contrast, which is about what follows it, and `counts` has all.
    """

    counts: Mapping[str, int]
    is_from_one_checkpoint: bool

    @property
    def are_recipes(self) -> bool:
        """Whether the spread between runs will be known, so that recipes can be compared."""
        return min(self.counts.values()) > 1


def replication(
    config: StudyConfig,
    phases: "Mapping[str, Phase]",
    fingerprints: Mapping[str, str],
    variants: Sequence[str],
) -> Replication:
    """Returns how many independent replicates each variant has."""
    starts, runs = {}, {}
    for variant in variants:
        lasts = [phases[name] for name in last_phases(config, variant)]
        starts[variant] = {
            last.path[0].config.initial_checkpoint or fingerprints[last.path[0].name]
            for last in lasts
        }
        runs[variant] = len({fingerprints[last.name] for last in lasts})
    is_one = len(set().union(*starts.values())) == 1 and max(runs.values()) > 1
    counts = runs if is_one else {variant: len(of) for variant, of in starts.items()}
    return Replication(counts=counts, is_from_one_checkpoint=is_one)
