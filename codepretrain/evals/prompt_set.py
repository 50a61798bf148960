"""A set of prompts in a file: JSON lines with the fields of Dolly, or `prompt`.

    {"instruction": "Which of these are fruit?", "context": "apple, chair", "category": "…"}
    {"prompt": "Name three rivers."}

`context`, `category` and `id` are optional; other fields, such as `response`, are not used. Without
`id`, a prompt is known by a hash of its text, so the same prompts in another order keep their ids.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import MissingFileError, parse, read_bytes
from codepretrain.instructions import render_prompt

_PROMPT_FIELDS = ("instruction", "prompt")
_ID_DIGITS = 16


@dataclass(frozen=True)
class Prompt:
    """text: what the model continues (`instructions.render_prompt`). category: "" without one."""

    id: str
    text: str
    category: str


def read_prompts(path: str, *, option: str, num_examples: int) -> list[Prompt]:
    """Returns the first `num_examples` prompts of a file, local or in an object store.

    Args:
      option: the configuration's field that names the file, for messages.

    Raises:
      UserError: the file is missing or empty, a line is damaged, or two prompts are the same.
    """
    try:
        content = read_bytes(parse(path, name=option))
    except MissingFileError as error:
        raise UserError(f"{option}: there is no file {path}") from error
    prompts: dict[str, Prompt] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            prompt = _prompt(_object(line))
            if prompt.id in prompts:
                raise ValueError(f"the same prompt or id as in line {lines[prompt.id]}")
        except ValueError as error:
            raise UserError(f"{option}: {path} line {number}: {error}") from error
        prompts[prompt.id], lines[prompt.id] = prompt, number
    if not prompts:
        raise UserError(f"{option}: {path} contains no prompt")
    return list(prompts.values())[:num_examples]


def prompts_sha256(prompts: Sequence[Prompt]) -> str:
    """Returns a hash of the prompts, in order: ids, texts and categories."""
    return sha256_json({"prompts": [dataclasses.astuple(prompt) for prompt in prompts]})


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError("expected a JSON object in UTF-8") from error
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def _prompt(value: Mapping[str, Any]) -> Prompt:
    given = [name for name in _PROMPT_FIELDS if value.get(name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "neither"
        raise ValueError(f"expected a field 'instruction' or a field 'prompt', found {found}")
    instruction = _text(value, given[0])
    if not instruction.strip():
        raise ValueError(f"field {given[0]!r} is empty")
    text = render_prompt(instruction, _text(value, "context"))
    name = value.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if name is None:
        name = hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
    elif not isinstance(name, str) or not name:
        raise ValueError("field 'id': expected text or a whole number")
    return Prompt(name, text, _text(value, "category"))


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"field {name!r}: expected text, found {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"field {name!r} has half of a surrogate pair") from None
    return text
