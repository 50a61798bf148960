"""Finished runs without an evaluation that others have: they are missing from means silently."""

from codepretrain.report.collect import StudyResults


def unevaluated(results: StudyResults) -> list[str]:
    """Returns a line per evaluation that the end of one variant's run lacks and another's has.

    A result that failed, or is of another evaluation, has a line of its own (`collect.py`).
    """
    paths = (path for name in results.spec.variants for path in results.replicates(name))
    runs = {path[-1].name: path[-1] for path in paths if path[-1].status == "complete"}
    return [
        f"{name}: no result of {evaluator} at step {run.plan.steps:,}, so this run is left out of "
        f"it: run `codepretrain evaluate --phase {name}`"
        for evaluator in results.spec.evaluators
        if any(run.at_end(evaluator) for run in runs.values())
        for name, run in runs.items()
        if run.at_end(evaluator) is None and (evaluator, run.plan.steps) not in run.unusable
    ]
