"""The options of an evaluation by the harness, `config.evals.<name>.options`."""

from dataclasses import dataclass

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.suite import CATEGORIES, TASKS


@dataclass(frozen=True, kw_only=True)
class HarnessOptions:
    """Options.

    Attributes:
      tasks: names of tasks or groups, separated by commas: those of the harness, of `include_path`,
        or the suite's categories `world_knowledge` and `reasoning`.
      excluded: tasks that are evaluated but left out of the average, separated by commas. A fixed
        list, the same for every variant: such as the tasks on which not all models beat chance.
      num_fewshot: examples in each prompt; None is the task's own number.
      max_new_tokens: longest generated answer; None is the task's own limit, or 256.
      data: folder that `codepretrain evaluate --download` has filled.
      include_path: folder of further task files in the harness's format.
    """

    tasks: str
    excluded: str = ""
    num_fewshot: int | None = None
    max_new_tokens: int | None = None
    data: str = ""
    include_path: str = ""


def names(text: str) -> list[str]:
    """Returns the names in a list separated by commas, each once."""
    return list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def suite_tasks(options: HarnessOptions) -> list[str] | None:
    """Returns the tasks, None where one of the names may be a group of the harness."""
    chosen = names(options.tasks)
    if not all(name in CATEGORIES or name in TASKS for name in chosen):
        return None
    return [task for name in chosen for task in CATEGORIES.get(name, (name,))]


def check_options(request: Request[HarnessOptions]) -> None:
    """Raises UserError for values that cannot be used. Needs no harness."""
    options, path = request.options, f"{request.path}.options"
    if not names(options.tasks):
        raise UserError(f"{path}.tasks: expected names of tasks, found {options.tasks!r:.80}")
    for name in ("num_fewshot", "max_new_tokens"):
        value, least = getattr(options, name), 0 if name == "num_fewshot" else 1
        if value is not None and value < least:
            raise UserError(f"{path}.{name}: expected {least} or more, found {value}")
    known = [task for tasks in CATEGORIES.values() for task in tasks]
    for name in names(options.excluded):
        if set(names(options.tasks)) <= set(CATEGORIES) and name not in known:
            raise UserError(
                f"{path}.excluded: no task of the suite is called {name!r:.80}"
                f"{suggestion(name, known)}"
            )
