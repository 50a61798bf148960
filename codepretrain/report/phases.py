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
                before = _lineage(results, path[: place + 1])
                paths.setdefault(phase, {}).setdefault(path[place], before)
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


def _lineage(results: StudyResults, path: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the phases of a path without those from which its last one does not come.

    Only where an average joins several phases do others stand on a path.
    """
    plans = {name: results.runs[name].plan for name in path}
    if not any(run.plan.members for run in results.runs.values()):
        return path
    wanted, waiting = set(), [path[-1]]
    while waiting:
        name = waiting.pop()
        if name in plans and name not in wanted:
            wanted.add(name)
            waiting += [member["phase"] for member in plans[name].members]
            waiting += [plans[name].parent or ""]
    return tuple(name for name in path if name in wanted)
