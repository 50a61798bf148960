"""Runs problems of this package's own families in this process."""

from typing import Any

from codepretrain.data.synthetic.problem import Problem, Step


def failures(problem: Problem, solution: str | None) -> list[Step]:
    """Returns the steps that do not hold of a solution."""
    namespace: dict[str, Any] = {}
    exec(solution or "", namespace)
    broken = []
    for test in problem.tests:
        scope = dict(namespace)
        for step in test:
            if not _holds(step, scope):
                broken.append(step)
    return broken


def _holds(step: Step, scope: dict[str, Any]) -> bool:
    if step.check is None and step.raises is None:
        try:
            exec(step.code, scope)
        except Exception:
            return False
        return True
    try:
        result = eval(step.code, scope)
    except Exception as error:
        return step.raises in [kind.__name__ for kind in type(error).__mro__]
    try:
        return bool(step.check and eval(step.check, {"result": result}))
    except Exception:
        return False
