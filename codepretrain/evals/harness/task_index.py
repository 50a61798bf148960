"""Finds tasks by name: those of the study's suite, of a user's folder, and of the harness."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError
from codepretrain.evals.harness.libraries import load, quiet
from codepretrain.evals.harness.suite import CATEGORIES, TASKS

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

_SINGLE = ("TASK", "PY_TASK")  # kinds of entries in the harness's index
OUR_TASKS = Path(__file__).parent / "tasks"


@functools.cache
def suite_manager(include_path: str) -> "TaskManager":
    """Returns the harness's index of the suite's tasks and of a folder's.

    The harness has 14,000 task files, which take it ten seconds to read; these take none.
    """
    harness = Path(str(load("lm_eval.tasks").__file__)).parent
    folders = [harness / task.folder for task in TASKS.values() if task.folder]
    return _manager([*folders, OUR_TASKS, *([Path(include_path)] if include_path else [])], False)


@functools.cache
def full_manager(include_path: str) -> "TaskManager":
    """Returns the harness's index of all tasks, and of a folder's."""
    return _manager([OUR_TASKS, *([Path(include_path)] if include_path else [])], True)


def _manager(folders: Sequence[Path], with_defaults: bool) -> "TaskManager":
    with quiet():
        return load("lm_eval.tasks").TaskManager(
            include_path=[str(folder) for folder in folders], include_defaults=with_defaults
        )


def manager_of(names: Sequence[str], include_path: str, *, path: str) -> "TaskManager":
    """Returns an index that has all of the names.

    Raises:
      UserError: there is no such task, or no such folder. `path` is the options' place in the
        configuration.
    """
    if include_path and not Path(include_path).is_dir():
        raise UserError(f"{path}.include_path: there is no folder {include_path!r:.200}")
    manager = suite_manager(include_path)
    wanted = [name for name in names if name not in CATEGORIES]
    known = manager.task_index
    if all(name in known and known[name].kind.name in _SINGLE for name in wanted):
        return manager  # of a group or tag it may have some tasks only
    manager = full_manager(include_path)
    for name in wanted:
        if name not in manager.task_index:
            near = suggestion(name, [*CATEGORIES, *TASKS, *manager.all_tasks])
            raise UserError(f"{path}.tasks: there is no task or group {name!r:.80}{near}")
    return manager


def single_tasks(manager: "TaskManager", name: str) -> list[str]:
    """Returns the tasks of a group or tag; a group that changes its tasks' settings is kept."""
    entry = manager.task_index[name]
    kind = entry.kind.name
    if kind == "TAG":
        return sorted(entry.tags)
    members: Any = (entry.cfg or {}).get("task") if kind == "GROUP" else None
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        return [name]
    extra = set(entry.cfg or {}) - {"group", "group_alias", "task", "metadata", "tag"}
    if extra - {"aggregate_metric_list"} or any(m not in manager.task_index for m in members):
        return [name]
    return [task for member in members for task in single_tasks(manager, member)]
