"""Drops XML files that have the file name extension of another language."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter


@dataclass(frozen=True, kw_only=True)
class XmlHeader(Filter):
    """Drops documents with `<?xml version=` in their first `num_characters` characters.

    Source: Li et al. 2023 (StarCoder): in the first 100 characters, in all languages
    but XSLT.
    """

    num_characters: int = 100
    except_languages: tuple[str, ...] = ("XSLT",)

    def judge(self, document: Document) -> str | None:
        beginning = document.text[: self.num_characters]
        return "xml_header" if "<?xml version=" in beginning else None
