"""Makes the harness's task objects from local data only: the data folder, and files of tasks."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codepretrain.errors import UserError, described
from codepretrain.evals.harness.data_folder import DataFolder
from codepretrain.evals.harness.dataset_calls import answered
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.harness.libraries import offline, quiet
from codepretrain.evals.harness.options import HarnessOptions, names
from codepretrain.evals.harness.suite import CATEGORIES, TASKS
from codepretrain.evals.harness.task_index import manager_of, single_tasks

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

_FEWSHOT_SEED = 1234  # the harness's own
_ALL = "all tasks"  # in place of a task's name
_UNUSED_ROWS = 8  # of splits that a 0-shot task reads and does not use


@dataclass(frozen=True)
class LoadedTask:
    """A task of the harness. category: what its score is averaged into."""

    name: str
    category: str
    task: "Task"


def load_tasks(options: HarnessOptions, *, path: str) -> list[LoadedTask]:
    """Returns the tasks of an evaluation, with their data, in the order of the option.

    Args:
      path: the evaluation's place in the configuration, for messages.

    Raises:
      UserError: there is no such task; or data is missing or damaged: names all of it at once.
    """
    manager = manager_of(names(options.tasks), options.include_path, path=f"{path}.options")
    loaded: dict[str, LoadedTask] = {}
    with _all_problems(options, path) as problems:
        with problems.of(_ALL):
            data = DataFolder(options.data) if options.data else None
        if problems.found:
            return []
        for category, name in members(manager, options):
            with problems.of(name):
                for task_name, task in make_tasks(manager, name, options, data).items():
                    loaded.setdefault(task_name, LoadedTask(task_name, category, task))
    _check_excluded(options, list(loaded), path)
    return list(loaded.values())


def check_data(options: HarnessOptions, *, path: str) -> None:
    """Raises UserError as `load_tasks` for data that is not there; reads only names and sizes."""
    wanted = names(options.tasks)
    are_of_suite = all(name in CATEGORIES or name in TASKS for name in wanted)
    with _all_problems(options, path) as problems:
        with problems.of(_ALL):
            data = DataFolder(options.data) if options.data else None
        if problems.found and are_of_suite and not options.include_path:
            return  # without the harness, which takes a second to import
        manager = manager_of(wanted, options.include_path, path=f"{path}.options")
        if problems.found:
            return
        for _, name in members(manager, options):
            with (
                problems.of(name),
                contextlib.suppress(_Present),
                local_datasets(data, _stop_reading, include_path=options.include_path),
            ):
                construct(manager, name)


class _Present(Exception):
    """The data is there; it is not read."""


def _stop_reading(split: str) -> int | None:
    raise _Present


class _Problems:
    """Collects the errors of tasks."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}  # error → its tasks

    @contextlib.contextmanager
    def of(self, task: str) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            self.found.setdefault(str(error), []).append(task)


@contextlib.contextmanager
def _all_problems(options: HarnessOptions, path: str) -> Iterator[_Problems]:
    """Raises one UserError at the end of the block, if any task had one."""
    problems = _Problems()
    yield problems
    if problems.found:
        raise UserError(_missing(problems.found, options, path))


def members(manager: "TaskManager", options: HarnessOptions) -> list[tuple[str, str]]:
    """Returns (category, name) of every task; a plain task's category is "tasks"."""
    category_of: dict[str, str] = {}
    for name in names(options.tasks):
        tasks = CATEGORIES[name] if name in CATEGORIES else single_tasks(manager, name)
        category = "tasks" if list(tasks) == [name] else name
        for task in tasks:
            category_of.setdefault(task, category)
    return [(category, task) for task, category in category_of.items()]


def make_tasks(
    manager: "TaskManager", name: str, options: HarnessOptions, data: DataFolder | None
) -> dict[str, "Task"]:
    """Returns name → task of one entry of the index. Raises UserError if it cannot be made."""
    config = manager.task_index[name].cfg or {}
    own = config.get("num_fewshot")
    shots = own if own == 0 or options.num_fewshot is None else options.num_fewshot
    used = config.get("test_split") or config.get("validation_split")

    def limit(split: str) -> int | None:
        return None if shots or used is None or split == used else _UNUSED_ROWS

    with local_datasets(data, limit, include_path=options.include_path):
        made = construct(manager, name)
    for task in made.values():
        default = task.get_config("num_fewshot")
        if options.num_fewshot is not None and default != 0:
            task.set_config("num_fewshot", options.num_fewshot)
        elif default is None:
            task.set_config("num_fewshot", 0)
        task.set_fewshot_seed(_FEWSHOT_SEED)
    return made


def construct(manager: "TaskManager", name: str) -> dict[str, "Task"]:
    """Returns name → task, made by the harness; its errors as UserError."""
    try:
        with quiet(), offline():
            made = manager.load([name])["tasks"]
    except (UserError, _Present):
        raise
    except Exception as error:  # a task file may do anything
        raise UserError(f"the harness cannot make task {name}: {described(error)}") from error
    for task in made.values():
        if getattr(task, "UNSAFE_CODE", False):
            raise UserError(
                f"task {name} runs generated programs in this process: not supported; evaluate "
                'programs in the sandbox, with kind="code_generation"'
            )
        if getattr(task, "MULTIMODAL", False):
            raise UserError(f"task {name} has images or sounds, and the model reads text only")
    return made


def local_datasets(
    data: DataFolder | None, limit: Callable[[str], int | None], *, include_path: str
) -> contextlib.AbstractContextManager[None]:
    """Has `datasets.load_dataset` read from the data folder within the block.

    Args:
      limit: split → how many of its rows to read, None for all.
    """
    return answered(
        lambda reference: _from_folder(data, reference, limit), include_path=include_path
    )


def _from_folder(
    data: DataFolder | None, reference: DatasetReference, limit: Callable[[str], int | None]
) -> Any:
    from codepretrain.evals.harness.lazy_splits import LazySplits

    if data is None:
        raise UserError(f"no data of {reference}: the option `data` is not set")
    splits = data.splits(reference)
    return LazySplits(
        list(splits),
        lambda split: data.read(reference, split, limit=limit(split)),
        name=f"the data of {reference}, in its folder {reference.folder},",
    )


def _missing(problems: dict[str, list[str]], options: HarnessOptions, path: str) -> str:
    listed = "; ".join(f"{', '.join(tasks)}: {text}" for text, tasks in problems.items())
    folder = options.data or "DIR"
    named = [task for tasks in problems.values() for task in tasks]
    if named == [_ALL]:
        what = f"no task can be evaluated: {next(iter(problems))}"
    else:
        what = f"{len(named)} task{'s' * (len(named) > 1)} cannot be evaluated: {listed}"
    return (
        f"{path}: {what}. Fetch missing or damaged data with `codepretrain evaluate --download "
        f"{folder}` on a machine with network, and name the folder with --data or "
        f"{path}.options.data"
    )


def _check_excluded(options: HarnessOptions, loaded: Sequence[str], path: str) -> None:
    left = set(loaded) - set(names(options.excluded))
    unknown = [name for name in names(options.excluded) if name not in loaded]
    if unknown:
        raise UserError(
            f"{path}.options.excluded: {', '.join(unknown)} is not evaluated: expected some of "
            f"{', '.join(loaded)}"
        )
    if not left:
        raise UserError(f"{path}.options.excluded: every task is excluded from the average")
