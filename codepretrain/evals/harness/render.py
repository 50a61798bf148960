"""Renders the items of a task: which documents are used, and what the model is asked of each.

The requests do not depend on the model's answers, so all of them are made before any computation,
and hashed.
"""

import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from codepretrain.errors import UserError, described
from codepretrain.evals.harness.libraries import offline, quiet
from codepretrain.evals.harness.load_tasks import LoadedTask
from codepretrain.evals.harness.suite import PASSAGE_FIELDS, TASKS
from codepretrain.files.hashing import sha256_json
from codepretrain.rows.sampling import keyed_hash, smallest

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_RANDOM_SEED, _NUMPY_SEED = 0, 1234  # the harness's own, for tasks that draw random numbers


@dataclass(frozen=True)
class Item:
    """One document of a task and the requests made from it.

    Attributes:
      id: `<task>/<number in its split>`.
      cluster: equal for items of one passage.
      choices: the texts that a multiple-choice item chooses among; none for other tasks.
      answers: the positions of right choices; none if the data has no valid one.
    """

    id: str
    cluster: str
    document: Any
    instances: "Sequence[Instance]"
    choices: Sequence[str] = ()
    answers: Sequence[int] = ()


@dataclass(frozen=True)
class RenderedTask:
    """A task with the items that are used. kind: "multiple_choice", "generate_until", …"""

    loaded: LoadedTask
    kind: str
    items: Sequence[Item]

    @property
    def name(self) -> str:
        return self.loaded.name


def render(loaded: LoadedTask, *, num_examples: int) -> RenderedTask:
    """Returns the task with `num_examples` items, or all if it has fewer, in the data's order.

    Items are drawn by keyed hash of their number, so more items include those of fewer.

    Raises:
      UserError: the task's files cannot render one of its documents.
    """
    task: Any = loaded.task
    kind = task.OUTPUT_TYPE
    with quiet(), offline(), _seeded():
        documents = task.eval_docs
        hashes = keyed_hash(np.arange(len(documents), dtype=np.uint64), "harness items")
        items = []
        for number in smallest(hashes, num_examples).tolist():
            try:
                items.append(_item(loaded, number, documents[number]))
            except Exception as error:  # templates and functions of a task file may raise anything
                raise UserError(
                    f"task {loaded.name} cannot render its document {number}: {described(error)}"
                ) from error
    if not items:
        raise UserError(f"task {loaded.name} has no documents")
    return RenderedTask(loaded, kind, items)


def _item(loaded: LoadedTask, number: int, document: Any) -> Item:
    task: Any = loaded.task
    context = task.fewshot_context(
        document,
        num_fewshot=task.config.num_fewshot or 0,
        system_instruction=None,
        apply_chat_template=False,
        fewshot_as_multiturn=False,
        chat_template=None,
        gen_prefix=task.doc_to_prefix(document),
    )
    made = task.construct_requests(
        doc=document,
        ctx=context,
        metadata=(loaded.name, number, task.config.repeats),
        apply_chat_template=False,
        chat_template=None,
    )
    instances = made if isinstance(made, list) else [made]
    name = f"{loaded.name}/{number}"
    choices = task.doc_to_choice(document) if task.OUTPUT_TYPE == "multiple_choice" else ()
    answers = right_choices(task, document, choices) if choices else ()
    cluster = _cluster(loaded.name, document) or name
    return Item(name, cluster, document, instances, choices, answers)


def right_choices(task: Any, document: Any, choices: Sequence[str]) -> list[int]:
    """Returns the positions of the right choices, read as the harness does.

    A target is a position, a choice's text, or a list of positions.
    """
    target = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
    targets = target if isinstance(target, list) else [target]
    if isinstance(target, str):
        targets = [choices.index(target)] if target in choices else []
    return [at for at in targets if isinstance(at, int) and 0 <= at < len(choices)]


def _cluster(task: str, document: Any) -> str | None:
    """Returns the name of a document's passage, None if it has none."""
    if not isinstance(document, dict):
        return None
    fields = (TASKS[task].cluster,) if task in TASKS else PASSAGE_FIELDS
    texts = [document.get(field) for field in fields if field]
    passage = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    return f"{task}/{sha256_json({'passage': passage})[:16]}" if passage else None


def items_digest(tasks: Sequence[RenderedTask]) -> str:
    """Returns a hash of all items: ids, clusters and documents, in order."""
    contents = [
        [item.id, item.cluster, json.dumps(item.document, sort_keys=True, default=str)]
        for task in tasks
        for item in task.items
    ]
    return sha256_json({"items": contents})


def prompts_digest(tasks: Sequence[RenderedTask]) -> str:
    """Returns a hash of all requests as they are rendered, with their settings, in order."""
    contents = [
        [request.request_type, json.dumps(request.args, sort_keys=True, default=str)]
        for task in tasks
        for item in task.items
        for request in item.instances
    ]
    return sha256_json({"requests": contents})


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Seeds the global random numbers, and restores them."""
    legacy: Any = np.random  # task files use the global generator
    python_state, numpy_state = random.getstate(), legacy.get_state()
    random.seed(_RANDOM_SEED)
    legacy.seed(_NUMPY_SEED)
    try:
        yield
    finally:
        random.setstate(python_state)
        legacy.set_state(numpy_state)
