"""Replaces e-mail addresses."""

import re
from collections import Counter
from dataclasses import dataclass

from codepretrain.data.filters.filter import Redactor

# Lengths of RFC 5321. The match starts at the beginning of a word: linear time in any text.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._%+-])"
    r"([A-Za-z0-9_%+-](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_%+-])?)"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24})"
    r"(?![A-Za-z0-9-])"
)
# In source text, what precedes may be an escape: `"by\\nada@host.org"`, `"\\u003cada@host.org"`.
_ESCAPE = re.compile(r"u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.")
_MAX_BACKSLASHES = 32
_MAX_CREDENTIALS = 128
_CREDENTIALS = re.compile(r"://[^\s/@?#\"'<>]*\Z")
# `q@k.to(device)` multiplies matrices; these are no attributes.
_NO_ATTRIBUTES = ("com", "org", "net", "edu", "gov")
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$")
# `icon@2x.png` and `package@1.0.tgz` are file names.
_FILE_EXTENSIONS = (
    *("png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "pdf"),
    *("tgz", "gz", "zip", "js", "ts", "css", "json", "py"),
)


@dataclass(frozen=True, kw_only=True)
class Emails(Redactor):
    """Replaces e-mail addresses by `placeholder`.

    Kept: addresses in the domains that RFC 2606 reserves for examples, the user of an SSH remote
    (`git@host.org:path`), user and password of a URL, file names such as `icon@2x.png`, products
    of matrices such as `q@k.transpose(1, 0)`, and an escape before the address.

    Source: Li et al. 2023 (StarCoder): e-mail addresses become `<EMAIL>`. They find
    them with a model; here a pattern does.
    """

    placeholder: str = "<EMAIL>"

    def replace(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        if "@" not in text:
            return text, counts

        def replacement(match: re.Match[str]) -> str:
            escape = _escape(match)
            if len(escape) == len(match[1]) or not _is_address(match):
                return match[0]
            counts["email"] += 1
            return escape + self.placeholder

        return _ADDRESS.sub(replacement, text), counts


def _is_address(match: re.Match[str]) -> bool:
    user, domain, text = match[1], match[2].lower(), match.string
    if _RESERVED.search(domain) or domain.rpartition(".")[2] in _FILE_EXTENSIONS:
        return False
    following = text[match.end() : match.end() + 1]
    if user == "git" and following in (":", "/"):
        return False
    if following in ("(", "[") and domain.rpartition(".")[2] not in _NO_ATTRIBUTES:
        return False
    before = text[max(0, match.start() - _MAX_CREDENTIALS) : match.start()]
    return not _CREDENTIALS.search(before)


def _escape(match: re.Match[str]) -> str:
    """Returns the beginning of the match that belongs to a backslash before it, or ""."""
    before = match.string[max(0, match.start() - _MAX_BACKSLASHES) : match.start()]
    num_backslashes = len(before) - len(before.rstrip("\\"))
    found = _ESCAPE.match(match[1]) if num_backslashes % 2 else None
    return found[0] if found else ""
