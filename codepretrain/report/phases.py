"""A study with every phase as a variant, so that phases are compared as variants are."""

import dataclasses

from codepretrain.report.collect import StudyResults


def by_phase(results: StudyResults) -> StudyResults:
    """Returns the study whose variants are its phases, with the replicates of each.

    A variant is called like the phase of the first replicate.
    """
    paths: dict[str, dict[str, tuple[str, ...]]] = {}  # phase → replicate's name → its path
    for variant in results.spec.variants:
        replicates = [tuple(run.name for run in path) for path in results.replicates(variant)]
        for place, phase in enumerate(replicates[0]):
            for path in replicates:
                paths.setdefault(phase, {}).setdefault(path[place], path[: place + 1])
    others = {name for of in paths.values() for name in of}
    for name in results.runs:
        if name not in others:
            paths[name] = {name: (name,)}
    order = [name for name in results.runs if name in paths]
    replicates_of = {name: tuple(paths[name].values()) for name in order}
    spec = dataclasses.replace(
        results.spec,
        variants={name: of[0] for name, of in replicates_of.items()},
        replicates=replicates_of,
        baseline=None,
    )
    return dataclasses.replace(results, spec=spec)
