"""What the replicates of the arms of a contrast allow to be concluded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codepretrain.config.schema import StudyConfig
from codepretrain.inference.common_starts import independent_replicates
from codepretrain.study.graph import Phase
from codepretrain.study.replicates import last_phases


@dataclass(frozen=True)
class Replication:
    """The independent replicates of each arm of a contrast.

    Attributes:
      counts: variant → replicates that are independent of each other. Runs that have something in
        common which not all runs of all arms have, such as a trunk, are one; an average comes from
        all from which its members come.
      is_from_one_checkpoint: whether all runs of all arms start from one checkpoint. Then its
        spread is no part of the contrast, which is about what follows it.
      ancestors: variant → the runs of each replicate, by fingerprint, the last one too, and
        imported models that they start from.
    """

    counts: Mapping[str, int]
    is_from_one_checkpoint: bool
    ancestors: Mapping[str, tuple[frozenset[str], ...]]


def replication(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    fingerprints: Mapping[str, str],
    variants: Sequence[str],
) -> Replication:
    """Returns how many independent replicates each variant has."""
    starts: dict[str, list[set[str]]] = {}
    ancestors: dict[str, tuple[frozenset[str], ...]] = {}
    for variant in variants:
        lasts = [phases[name] for name in last_phases(config, variant)]
        starts[variant] = [
            {root.config.initial_checkpoint or fingerprints[root.name] for root in last.roots}
            for last in lasts
        ]
        once = {fingerprints[last.name]: last for last in lasts}
        ancestors[variant] = tuple(
            frozenset(fingerprints[phase.name] for phase in last.path)
            | {root.config.initial_checkpoint or fingerprints[root.name] for root in last.roots}
            for last in once.values()
        )
    everywhere = set[str]().union(*(one for of in starts.values() for one in of))
    is_one = len(everywhere) == 1 and max(map(len, ancestors.values())) > 1
    labels = independent_replicates(list(ancestors.values()))
    counts = {variant: len({*of}) for variant, of in zip(ancestors, labels, strict=True)}
    return Replication(counts=counts, is_from_one_checkpoint=is_one, ancestors=ancestors)
