"""Replaces secrets: private keys, access keys, tokens and passwords."""

import re
from collections import Counter
from dataclasses import dataclass

from codepretrain.data.filters.filter import Redactor
from codepretrain.data.filters.secret_patterns import (
    ASSIGNED,
    FORMATS,
    is_documentation,
    is_json_web_token,
    is_random,
)


@dataclass(frozen=True, kw_only=True)
class SecretKeys(Redactor):
    """Replaces secrets by `placeholder`; counts each kind.

    Found by the format of the issuer, or (`assigned`) as a quoted random string that is assigned to
    a name such as `api_key`. Examples from documentation are kept.

    Source: Li et al. 2023 (StarCoder), section 4: keys become `<KEY>`. They find them with a
    model, and Ben Allal et al. 2023 (SantaCoder) with detect-secrets. That package scans line by
    line, with settings that are global to the process, and has had no release since 2024; so
    the patterns are ours.
    """

    placeholder: str = "<KEY>"
    assigned: bool = True

    def replace(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        for pattern in FORMATS:
            if pattern.marker in text:
                text = self._replaced(text, pattern.kind, pattern.expression, counts)
        if self.assigned:
            text = self._replaced(text, "assigned", ASSIGNED, counts)
        return text, counts

    def _replaced(
        self, text: str, kind: str, expression: re.Pattern[str], counts: Counter[str]
    ) -> str:
        group = "secret" if "secret" in expression.groupindex else 0

        def replacement(match: re.Match[str]) -> str:
            if not _is_secret(kind, match[group]):
                return match[0]
            counts[kind] += 1
            start, end = (position - match.start() for position in match.span(group))
            return match[0][:start] + self.placeholder + match[0][end:]

        return expression.sub(replacement, text)


def _is_secret(kind: str, value: str) -> bool:
    if kind != "private_key" and is_documentation(value):
        return False
    if kind == "json_web_token":
        return is_json_web_token(value)
    return is_random(value) if kind == "assigned" else True
