"""Documents (a text with its provenance) and skipped raw material."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text. `id` is unique within its source; `origin` says where to find it.

    `group` is what the text was cut from (a file, a thread, a repository, a page): all texts of a
    group are in one split, whatever their sources. None if the text is a group of its own, which is
    then named by its `id`. `language` is a programming or natural language, `license` an SPDX
    expression or the origin's own wording; None if the origin does not state it.
    """

    id: str
    text: str
    source: str
    origin: str
    group: str | None = None
    language: str | None = None
    license: str | None = None

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the text."""
        return len(self.text.encode())

    def provenance(self) -> dict[str, Any]:
        """Returns everything but the text."""
        fields = {name: value for name, value in vars(self).items() if name != "text"}
        return {**fields, "num_bytes": self.num_bytes}


@dataclass(frozen=True)
class Skipped:
    """Raw material that was skipped, and why. Reasons are few, so they can be counted."""

    origin: str
    reason: str
