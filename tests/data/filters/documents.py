"""Documents for tests of filters."""

from codepretrain.data.document import Document
from codepretrain.data.filters import FILTERS, make_filter
from codepretrain.data.filters.filter import Filter, Redactor


def document(text: str, language: str | None = None, **fields) -> Document:
    return Document(
        **{"id": "1", "source": "s", "origin": "o", **fields}, text=text, language=language
    )


def reason(name: str, text: str, language: str | None = None, /, **options) -> str | None:
    """The reason code of one filter for one text."""
    made = make_filter(name, options, path="config")
    assert isinstance(made, Filter)
    return made.reason(document(text, language))


def redacted(name: str, text: str, **options) -> tuple[str, dict[str, int]]:
    """The text after one redactor, and its counts."""
    made = make_filter(name, options, path="config")
    assert isinstance(made, Redactor)
    changed, counts = made.redact(document(text))
    return changed.text, dict(counts)


__all__ = ["FILTERS", "document", "reason", "redacted"]
