"""Documents (a text with its provenance) and skipped raw material."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text. `id` is unique within its source; `origin` says where to find it.

    `group` is what the text was cut from (a file, a thread, a repository, a page): all texts of a
    group are in one split, whatever their sources. None if the text is a group of its own, named by
    its source and `id`. `other_groups` are further groups that follow the same split, such as
    the forks that share a commit. `language` is a programming or natural language, `license` an
    SPDX expression or the origin's own wording; None if the origin does not state it. `metadata` is
    what else the origin states: repository, path, score, teacher.
    """

    id: str
    text: str
    source: str
    origin: str
    group: str | None = None
    language: str | None = None
    license: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    other_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "other_groups", tuple(self.other_groups))  # a list in JSON

    @cached_property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the text. Raises UnicodeEncodeError for a text that has no such bytes."""
        return len(self.text.encode())

    def record(self) -> dict[str, Any]:
        """Returns the fields: `Document(**record)` is the document again."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def provenance(self) -> dict[str, Any]:
        """Returns everything but the text, and the groups that only the split needs."""
        left_out = ("text", "other_groups")
        fields = {name: value for name, value in self.record().items() if name not in left_out}
        return {**fields, "num_bytes": self.num_bytes}


@dataclass(frozen=True)
class Skipped:
    """Raw material that was skipped, and why. Reasons are few, so they can be counted."""

    origin: str
    reason: str


def counted_reasons(counts: Mapping[str, int], first_origins: Mapping[str, str]) -> list[str]:
    """Returns how much was skipped for each reason, and where the first piece is.

    >>> counted_reasons({"commit removes the file": 14}, {"commit removes the file": "a.py"})
    ['14 (commit removes the file; the first: a.py)']
    """
    return [
        f"{count:,} ({reason}; the first: {first_origins.get(reason, 'unknown')})"
        for reason, count in counts.items()
    ]
