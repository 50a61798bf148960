"""Replaces secrets: private keys, access keys, tokens and passwords."""

import re
from collections import Counter
from dataclasses import dataclass

from codepretrain.data.filters.filter import Redactor
from codepretrain.data.filters.secret_patterns import (
    FORMATS,
    NAME_CHARACTERS,
    QUOTED,
    is_documentation,
    is_json_web_token,
    is_named,
    is_random,
)


@dataclass(frozen=True, kw_only=True)
class SecretKeys(Redactor):
    """Replaces secrets by `placeholder`; counts each kind.

    Found by the format of the issuer, or (`assigned`) as a quoted random string that is assigned to
    a name such as `api_key`. Examples from documentation are kept.

    Source: Li et al. 2023 (StarCoder): keys become `<KEY>`. They find them with a
    model, and Ben Allal et al. 2023 (SantaCoder) with detect-secrets. That package scans line by
    line, with settings that are global to the process, and has had no release since 2024; so
    the patterns are ours.
    """

    placeholder: str = "<KEY>"
    assigned: bool = True

    def replace(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        for pattern in FORMATS:
            if any(marker in text for marker in pattern.markers):
                text = self._replaced(text, pattern.kind, pattern.expression, counts)
        if self.assigned:
            text = self._replaced(text, "assigned", QUOTED, counts)
        return text, counts

    def _replaced(
        self, text: str, kind: str, expression: re.Pattern[str], counts: Counter[str]
    ) -> str:
        group = "secret" if "secret" in expression.groupindex else 0

        def replacement(match: re.Match[str]) -> str:
            if not _is_secret(kind, match[group], match):
                return match[0]
            counts[kind] += 1
            start, end = (position - match.start() for position in match.span(group))
            return match[0][:start] + self.placeholder + match[0][end:]

        return expression.sub(replacement, text)


def _is_secret(kind: str, value: str, match: re.Match[str]) -> bool:
    if kind != "private_key" and is_documentation(value):
        return False
    if kind == "json_web_token":
        return is_json_web_token(value)
    if kind == "assigned":
        start = match.start()
        before = max(0, start - NAME_CHARACTERS)
        return is_random(value) and is_named(match.string[before:start])
    return True
