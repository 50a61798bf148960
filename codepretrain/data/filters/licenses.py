"""Drops documents whose license is not on a list."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter
from codepretrain.data.filters.spdx import InvalidExpressionError, is_permitted

# Permissive: the work may be copied, changed and passed on without a condition on the license of
# what is made of it.
PERMISSIVE = (
    *("0BSD", "AFL-3.0", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0"),
    *("BSD-1-Clause", "BSD-2-Clause", "BSD-2-Clause-Patent", "BSD-3-Clause"),
    *("BSD-3-Clause-Clear", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0"),
    *("ECL-2.0", "HPND", "ISC", "MIT", "MIT-0", "MulanPSL-2.0", "NCSA"),
    *("PostgreSQL", "PSF-2.0", "Python-2.0", "Unicode-3.0", "Unlicense"),
    *("UPL-1.0", "W3C", "WTFPL", "X11", "Zlib", "ZPL-2.1"),
)


@dataclass(frozen=True, kw_only=True)
class Licenses(Filter):
    """Drops documents whose license expression the listed licenses do not permit.

    Of licenses joined by OR one must be listed, of those joined by AND all. `GPL-2.0+` is listed as
    it is written. A license in other words than SPDX is dropped, unless these words are listed.

    Source: Kocetkov et al. 2022 (The Stack): permissive licenses only. The list is ours: licenses
    that the SPDX list names, without copyleft.
    """

    allowed: tuple[str, ...] = PERMISSIVE
    allow_missing: bool = False

    def judge(self, document: Document) -> str | None:
        if document.license is None or not document.license.strip():
            return None if self.allow_missing else "license_missing"
        allowed = {license.casefold() for license in self.allowed}
        if document.license.strip().casefold() in allowed:
            return None
        try:
            permitted = is_permitted(document.license, allowed.__contains__)
        except InvalidExpressionError:
            return "license_unknown"
        return None if permitted else "license_not_allowed"
