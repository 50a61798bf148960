"""The filter interfaces: a dataclass of options, and a pure function of one document.

A `Filter` returns why it drops a document, or None. A `Redactor` returns the document with parts of
its text replaced by placeholders, and how many of each kind. Both have options for the languages
that they apply to, in any spelling that `readers/languages.py` knows.
"""

import abc
import dataclasses
import functools
from collections import Counter
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.readers.languages import language_of


@dataclass(frozen=True, kw_only=True)
class Languages:
    """Options of every filter: the languages that it applies to.

    Attributes:
      languages: apply to documents in one of these languages only. None: in any, or in none stated.
      except_languages: never apply to documents in one of these.
    """

    languages: tuple[str, ...] | None = None
    except_languages: tuple[str, ...] = ()

    def applies(self, document: Document) -> bool:
        """Returns whether a document is in the filter's languages."""
        if self.languages is not None and not is_one_of(document.language, self.languages):
            return False
        return not is_one_of(document.language, self.except_languages)


@dataclass(frozen=True, kw_only=True)
class Filter(Languages, abc.ABC):
    """Drops documents."""

    def reason(self, document: Document) -> str | None:
        """Returns the reason code if the document is dropped, else None."""
        return self.judge(document) if self.applies(document) else None

    @abc.abstractmethod
    def judge(self, document: Document) -> str | None:
        """Returns the reason code for a document in one of the filter's languages, or None."""


@dataclass(frozen=True, kw_only=True)
class Redactor(Languages, abc.ABC):
    """Replaces parts of the text of documents."""

    def redact(self, document: Document) -> tuple[Document, Counter[str]]:
        """Returns the document with placeholders, and the number of each kind of placeholder."""
        if not self.applies(document):
            return document, Counter()
        text, counts = self.replace(document.text)
        if not counts:
            return document, counts
        return dataclasses.replace(document, text=text), counts

    @abc.abstractmethod
    def replace(self, text: str) -> tuple[str, Counter[str]]:
        """Returns the text with placeholders, and the number of each kind."""


def is_one_of(language: str | None, names: tuple[str, ...]) -> bool:
    """Returns whether a language is among the names, however they are spelled.

    >>> is_one_of("c-sharp", ("C#", "Roff Manpage"))
    True
    """
    return language is not None and _spelling(language) in _spellings(names)


@functools.lru_cache(maxsize=4096)
def _spelling(language: str) -> str:
    return language_of(language)


@functools.lru_cache(maxsize=256)
def _spellings(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(language_of, names))
