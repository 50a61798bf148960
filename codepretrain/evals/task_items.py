"""Reads the items of a task: JSON lines of token ids that `prepare` made from held-out documents.

`<data_dir>/evals/<task>.jsonl` has one object per line. A training process has no tokenizer, so
items are token ids; they contain text only where an evaluator needs it. The evaluator that uses a
task declares the dataclass of its items.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from etils import epath

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json
from codepretrain.rows.eval_items import items_directory, items_name, read_items


class TaskItem(Protocol):
    """A frozen dataclass whose fields are read from the item's JSON object."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def id(self) -> str: ...

    @property
    def document(self) -> str:
        """The document that it was made from, of which there may be several items."""
        ...

    @property
    def token_lists(self) -> Sequence[Sequence[int]]:
        """All token ids of the item, to be checked against the vocabulary."""
        ...

    def check(self) -> str | None:
        """Returns what is wrong with the item, None if nothing is."""
        ...


Item = TypeVar("Item", bound=TaskItem)


def check_task(task: str, tasks: Sequence[str], *, kind: str, path: str) -> None:
    """Raises UserError unless `task` is one of the kind's tasks; `path` is the option's."""
    if task not in tasks:
        near = suggestion(task, tasks)
        raise UserError(f"{path}: no {kind} task {task!r:.80}{near}")


def load_items(
    data_dir: epath.Path, task: str, kind: type[Item], *, num_examples: int, vocab_size: int
) -> list[Item]:
    """Returns the first `num_examples` items of a task, or all if it has fewer.

    Raises:
      UserError: the items were not prepared, the file is empty, or an item is damaged or of another
        kind.
    """
    values = read_items(data_dir, task)
    directory = items_directory(data_dir)
    path = directory / items_name(task)
    try:
        items = [_item(kind, value, vocab_size) for value in values[:num_examples]]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"damaged task items {path}: {error}; delete {directory} and run `codepretrain "
            "prepare` again"
        ) from error
    if not items:
        raise UserError(
            f"{path} has no items: hold out more documents (config.data.validation_fraction), "
            "or remove the evaluation from config.evals"
        )
    return items


def items_digest(items: Sequence[TaskItem]) -> str:
    """Returns the digest of items: their fields, in order."""
    fields = [dataclasses.asdict(item) for item in items]
    return sha256_json({"items": fields})


def _item(kind: type[Item], value: Mapping[str, Any], vocab_size: int) -> Item:
    """Returns an item of one object; ignores fields that the kind lacks. Raises ValueError."""
    names = [field.name for field in dataclasses.fields(kind)]
    missing = [name for name in names if name not in value]
    if missing:
        raise ValueError(f"no {kind.__name__}: {', '.join(missing)} missing")
    item = kind(**{name: value[name] for name in names})
    problem = item.check()
    if problem:
        raise ValueError(f"item {item.id}: {problem}")
    for ids in item.token_lists:
        if not all(isinstance(token, int) and 0 <= token < vocab_size for token in ids):
            raise ValueError(f"item {item.id}: a token id is not in [0, {vocab_size})")
    return item
