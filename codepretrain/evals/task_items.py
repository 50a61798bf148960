"""Items of the tasks: JSON lines of token ids that `prepare` made from held-out documents.

`<data_dir>/evals/<task>.jsonl`, one object a line; `manifest.json` beside them holds their hashes.
A training process has no tokenizer, so items come as ids; text is there only where a program is
made of it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codepretrain.errors import UserError
from codepretrain.rows.eval_items import items_directory, items_name, read_items

Item = TypeVar("Item", "MultipleChoiceItem", "GenerationItem")


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceItem:
    """choices[answer] is what follows the context; choice_bytes: length of each choice's text."""

    id: str
    context: Sequence[int]
    choices: Sequence[Sequence[int]]
    answer: int
    choice_bytes: Sequence[int]

    def check(self) -> str | None:
        """Returns what is wrong, None if nothing is."""
        if len(self.choices) < 2 or len(self.choices) != len(self.choice_bytes):
            return "needs two choices or more, and the bytes of each"
        if not 0 <= self.answer < len(self.choices):
            return f"answer {self.answer} is none of {len(self.choices)} choices"
        if min(self.choice_bytes) < 1 or min(map(len, self.choices)) < 1:
            return "has an empty choice"
        return None

    @property
    def token_lists(self) -> list[Sequence[int]]:
        return [self.context, *self.choices]


@dataclass(frozen=True, kw_only=True)
class GenerationItem:
    """The prompt ends with `expression_prefix`, which `reference` would complete.

    expected: `repr` of its value, worked out when the item was made.
    """

    id: str
    prompt: Sequence[int]
    expression_prefix: str
    expected: str
    reference: str
    max_new_tokens: int

    def check(self) -> str | None:
        """Returns what is wrong, None if nothing is."""
        return None if self.max_new_tokens > 0 else "max_new_tokens must be positive"

    @property
    def token_lists(self) -> list[Sequence[int]]:
        return [self.prompt]


TASKS: dict[str, type[MultipleChoiceItem] | type[GenerationItem]] = {
    "prose_continuation": MultipleChoiceItem,
    "code_continuation": MultipleChoiceItem,
    "python_expression": GenerationItem,
}


def load_items(
    data_dir: Path, task: str, kind: type[Item], *, num_examples: int, vocab_size: int
) -> list[Item]:
    """Returns the first `num_examples` items of a task, or all if it has fewer.

    Raises:
      UserError: the items were not prepared, there are none, or one is damaged or of another kind.
    """
    values = read_items(data_dir, task)
    directory = items_directory(data_dir)
    path = directory / items_name(task)
    again = f"delete {directory} and run `codepretrain prepare` again"
    try:
        items = [_item(kind, value, vocab_size) for value in values[:num_examples]]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"damaged task items {path}: {error}; {again}") from error
    if not items:
        raise UserError(
            f"{path} holds no items: hold out more documents (config.data.validation_fraction), "
            "or leave the evaluation out"
        )
    return items


def _item(kind: type[Item], value: Mapping[str, Any], vocab_size: int) -> Item:
    """Fields that this kind of item does not know are passed over. Raises ValueError."""
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
