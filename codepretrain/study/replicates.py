"""Which phases are trained in which replicates, and what they are called.

    trunk      ── cooldown            variants: with_code → cooldown, 3 replicates
    trunk-r1   ── cooldown-r1
    trunk-r2   ── cooldown-r2         initialization and data order from the replicate's two seeds

The phases of the first replicate keep their names. A phase that several variants share has as many
replicates as the variant with the most; one that no variant needs has one, as has a phase with
`is_replicated=False`, from which the children of all replicates start. A replicate of an average is
that of its members in the same replicate.
"""

from codepretrain.config.replicates import count_of_variant, seeds
from codepretrain.config.schema import StudyConfig

_SEEDS = {"initialization_seed": "initialization seed", "data_order_seed": "data order seed"}


def counts_of_phases(config: StudyConfig) -> dict[str, int]:
    """Returns how many replicates of each phase are trained, by the phase's name."""
    counts = dict.fromkeys(config.phases, 1)
    for variant, last in config.variants.items():
        count, waiting, seen = count_of_variant(config, variant), [last], set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen and config.phases[name].is_replicated:
                seen.add(name)
                counts[name] = max(counts[name], count)
                waiting += config.phases[name].origins
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


def shared_seeds(config: StudyConfig) -> list[str]:
    """Returns a line for each seed that several replicates have.

    They are counted as independent: how much of the spread a seed of one kind decides is not known
    without a crossed design, such as that of `experiments/ladder_30m.py`. If no phase with random
    parameters is replicated, all replicates start from one checkpoint, whatever the seed.
    """
    count = max((count_of_variant(config, variant) for variant in config.variants), default=1)
    starts_random = any(
        phase.is_replicated and not phase.origins and phase.initial_checkpoint is None
        for phase in config.phases.values()
    )
    lines = []
    for kind, spelled in _SEEDS.items():
        if kind == "initialization_seed" and not starts_random:
            continue
        of_seed: dict[int, list[int]] = {}
        for replicate, pair in enumerate(seeds(config)[:count]):
            of_seed.setdefault(getattr(pair, kind), []).append(replicate)
        lines += [
            f"replicates {', '.join(map(str, of))} share {spelled} {seed} and are counted as "
            "independent: what that seed decides is the same in all of them, so intervals over "
            "runs may be too narrow for a conclusion about recipes"
            for seed, of in of_seed.items()
            if len(of) > 1
        ]
    return lines
