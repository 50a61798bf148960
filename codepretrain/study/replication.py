"""What the replicates of the arms of a contrast allow to be concluded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codepretrain.config.schema import StudyConfig
from codepretrain.inference.common_starts import common_starts
from codepretrain.study.graph import Phase
from codepretrain.study.replicates import last_phases


@dataclass(frozen=True)
class Replication:
    """The independent replicates of each arm of a contrast.

    Attributes:
      counts: variant → replicates that are independent of each other. Runs that start from one
        checkpoint, such as cooldowns of one trunk, are one; an average starts from all from which
        its members start.
      is_from_one_checkpoint: whether all runs of all arms start from one checkpoint. Then its
        spread is no part of the contrast, which is about what follows it, and `counts` has all.
    """

    counts: Mapping[str, int]
    is_from_one_checkpoint: bool


def replication(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    fingerprints: Mapping[str, str],
    variants: Sequence[str],
) -> Replication:
    """Returns how many independent replicates each variant has."""
    starts: dict[str, list[set[str]]] = {}
    runs = {}
    for variant in variants:
        lasts = [phases[name] for name in last_phases(config, variant)]
        starts[variant] = [
            {root.config.initial_checkpoint or fingerprints[root.name] for root in last.roots}
            for last in lasts
        ]
        runs[variant] = len({fingerprints[last.name] for last in lasts})
    everywhere = set[str]().union(*(one for of in starts.values() for one in of))
    is_one = len(everywhere) == 1 and max(runs.values()) > 1
    counts = (
        runs if is_one else {variant: len({*common_starts(of)}) for variant, of in starts.items()}
    )
    return Replication(counts=counts, is_from_one_checkpoint=is_one)
