"""Prompts with their answers: instructions (Dolly), mathematics, conversations.

The format is `codepretrain.instructions.render_instruction`. Prompts that an evaluation uses can
be left out.
"""

import hashlib
import json
import os
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.named_fields import check_fields
from codepretrain.data.readers.reader import MissingCorpusError, RawFile
from codepretrain.data.readers.records import (
    Record,
    RecordReader,
    field_names,
    record_shards,
)
from codepretrain.errors import UserError
from codepretrain.files.storage import is_file
from codepretrain.instructions import render_instruction

EXCLUDED = "excluded prompt"


@dataclass(frozen=True, kw_only=True)
class Instruct(RecordReader):
    """Files matching the glob `path`, Parquet or JSON lines; by default with Dolly v2's fields.

    `prompt_fields` are the fields of a prompt, separated by commas: the first must be text, the
    others may be empty. With `messages_field`, that field is a list of `{"role": …, "content": …}`
    instead: the user's messages are prompts, and the first of them gives the group.

    `excluded_prompts` is a file of prompts to leave out: JSON lines of texts or of objects with the
    first prompt field, or a plain text of one prompt a line. Case, Unicode form and white space
    make no difference. The group is the prompt, so all answers to it are in one split.
    """

    prompt_fields: str = "instruction, context"
    response_field: str = "response"
    messages_field: str | None = None
    excluded_prompts: str | None = None
    language: str | None = None
    license: str | None = None
    name: ClassVar[str] = "instruct"

    @property
    def used_columns(self) -> tuple[str, ...]:
        messages = (self.messages_field,) if self.messages_field else ()
        return (*self._prompt_fields, self.response_field, *messages)

    @property
    def _prompt_fields(self) -> list[str]:
        return field_names(self.prompt_fields)

    def list_files(self) -> Sequence[RawFile]:
        if not self._prompt_fields:
            raise UserError("reader 'instruct': prompt_fields: expected at least one field")
        absent = self._absent_list()
        try:
            files = super().list_files()
        except MissingCorpusError as error:
            raise MissingCorpusError(f"{error}; {absent}" if absent else str(error)) from None
        self._excluded()
        return files

    def shards(self) -> Sequence[Any]:
        files = self.list_files()
        if self.messages_field:
            named = [("messages_field", self.messages_field)]
        else:
            # Dolly's `context` may be absent; a field that the user names is somewhere.
            is_default = self.prompt_fields == type(self).prompt_fields
            prompts = self._prompt_fields[:1] if is_default else self._prompt_fields
            named = [("prompt_fields", field) for field in prompts]
            named.append(("response_field", self.response_field))
        for option, field in named:
            check_fields(files[0], {option: field}, reader=self.name)
        return record_shards(files)

    def files(self, shard: Any) -> Sequence[RawFile]:
        files = super().files(shard)
        if self.excluded_prompts is None:
            return files
        name = f"excluded_prompts/{posixpath.basename(self.excluded_prompts)}"
        return [*files, RawFile(os.path.expanduser(self.excluded_prompts), name)]

    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        excluded = self._excluded()  # once a shard: the file may be altered between two runs
        for record in self.records(shard):
            if isinstance(record, Skipped):
                yield record
            else:
                yield self._unless_excluded(record, source, excluded)

    def document(self, record: Record, source: str) -> Document | Skipped:
        return self._unless_excluded(record, source, self._excluded())

    def _unless_excluded(
        self, record: Record, source: str, excluded: AbstractSet[str]
    ) -> Document | Skipped:
        found = self._messages(record) if self.messages_field else self._fields(record)
        if isinstance(found, Skipped):
            return found
        prompts, parts = found
        keys = [_key(prompt) for prompt in prompts]
        if not excluded.isdisjoint(keys):
            return Skipped(record.place, EXCLUDED)
        return Document(
            id=record.name,
            text=render_instruction(parts),
            source=source,
            origin=record.name,
            group=f"prompt:{keys[0]}",
            language=self.language,
            license=self.license,
        )

    def _fields(self, record: Record) -> tuple[list[str], list[str]] | Skipped:
        """Returns the prompt alone in a list, and all parts of the document."""
        prompt, response = record.text(self._prompt_fields[0]), record.text(self.response_field)
        if isinstance(prompt, Skipped):
            return prompt
        if isinstance(response, Skipped):
            return response
        if not prompt.strip() or not response.strip():
            return Skipped(record.place, "empty prompt or answer")
        others = [record.optional(name) or "" for name in self._prompt_fields[1:]]
        return [prompt], [prompt, *others, response]

    def _messages(self, record: Record) -> tuple[list[str], list[str]] | Skipped:
        """Returns the user's messages that are not blank, and all messages."""
        name = self.messages_field or ""
        if name not in record.value:
            return Skipped(record.place, f"no field {name!r}")
        found = record.value[name]
        if not isinstance(found, list):
            return Skipped(record.place, f"field {name!r} is not a list")
        try:
            messages = [(message["role"], message["content"] or "") for message in found]
        except (KeyError, TypeError):
            return Skipped(record.place, "a message without role or content")
        if not all(isinstance(text, str) for _, text in messages):
            return Skipped(record.place, "a message that is not text")
        prompts = [text for role, text in messages if role == "user" and text.strip()]
        if not prompts or not any(text.strip() for role, text in messages if role == "assistant"):
            return Skipped(record.place, "empty prompt or answer")
        return prompts, [text for _, text in messages]

    def _excluded(self) -> AbstractSet[str]:
        if self.excluded_prompts is None:
            return frozenset()
        if absent := self._absent_list():
            raise UserError(f"reader 'instruct': {absent}")
        path = os.path.expanduser(self.excluded_prompts)
        keys = frozenset(map(_key, _excluded_texts(path, self._prompt_fields[0])))
        if not keys:
            raise UserError(f"reader 'instruct': excluded_prompts {path} contains no prompt")
        return keys

    def _absent_list(self) -> str | None:
        """Returns a message if the file of excluded prompts is named and does not exist."""
        if self.excluded_prompts is None:
            return None
        path = os.path.expanduser(self.excluded_prompts)
        return None if is_file(path) else f"excluded_prompts: there is no file {path}"


def _excluded_texts(path: str, field: str) -> Iterator[str]:
    """Yields the prompts in a file. Raises UserError for a line that is none: it would be kept."""
    is_json = ".json" in path.rpartition("/")[2]
    for number, line in read_lines(path):
        if not isinstance(line, Skipped) and not line.strip():
            continue
        text = None if isinstance(line, Skipped) else _prompt(line, field, is_json=is_json)
        if text is None:
            raise UserError(
                f"reader 'instruct': excluded_prompts {path}:{number}: expected a text"
                + (f", or an object with the field {field!r}" if is_json else "")
            )
        yield text


def _prompt(line: bytes, field: str, *, is_json: bool) -> str | None:
    """Returns the prompt in a line of the list, None if there is none."""
    try:
        value = json.loads(line) if is_json else line.decode("utf-8-sig")
    except (ValueError, RecursionError):
        return None
    text = value.get(field) if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _key(prompt: str) -> str:
    """Returns a hash that is the same for prompts that differ in form only."""
    text = " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
