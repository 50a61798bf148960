"""Patterns of secrets: keys with a format of their own, and random strings assigned to a name."""

import base64
import json
import math
import re
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """The format of a secret.

    Every match contains one of `markers`, which are looked for first. The secret is the group
    `secret`, or else the whole match.
    """

    kind: str
    markers: tuple[str, ...]
    expression: re.Pattern[str]


def _pattern(kind: str, markers: str, expression: str) -> Pattern:
    return Pattern(kind, tuple(markers.split("|")), re.compile(expression))


_END = r"(?![A-Za-z0-9_-])"

# Each format is the one that its issuer documents.
FORMATS = (
    _pattern(
        "private_key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
        r"(?P<secret>(?:[A-Za-z0-9+/=:,.\s\\\"']|-(?!----)){64,20000}?)(?:\\n|\s)?"
        r"-----END (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY",
    ),
    _pattern("aws_access_key", "AKIA|ASIA", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    _pattern("github_token", "ghp_|gho_|ghu_|ghs_|ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}" + _END),
    _pattern("github_token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{82}" + _END),
    _pattern("gitlab_token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20}" + _END),
    _pattern("slack_token", "xox", r"\bxox[abeoprs]-(?:[A-Za-z0-9]{8,64}-?){2,6}" + _END),
    _pattern(
        "slack_webhook",
        "hooks.slack.com/services/",
        r"hooks\.slack\.com/services/(?P<secret>T\w{8,12}/B\w{8,12}/\w{20,32})",
    ),
    _pattern("stripe_key", "_live_", r"\b[sr]k_live_[A-Za-z0-9]{20,128}" + _END),
    _pattern("google_api_key", "AIza", r"\bAIza[A-Za-z0-9_-]{35}" + _END),
    _pattern("npm_token", "npm_", r"\bnpm_[A-Za-z0-9]{36}" + _END),
    _pattern("pypi_token", "pypi-AgE", r"\bpypi-AgE[A-Za-z0-9_-]{50,256}" + _END),
    _pattern("hugging_face_token", "hf_", r"\bhf_[A-Za-z]{34}" + _END),
    _pattern("sendgrid_key", "SG.", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}" + _END),
    _pattern(
        "json_web_token",
        "eyJ",
        r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,2000}" + _END,
    ),
    _pattern(
        "url_password",
        "://",
        r"(?<=[a-z0-9])://[^\s/:@\"'<>]{1,64}:(?P<secret>[^\s/:@\"'<>${}]{6,128})@[A-Za-z0-9]",
    ),
)

# A quoted value without spaces. It is a secret if what precedes it, up to `NAME_CHARACTERS`, ends
# in the assignment to a name that says so.
QUOTED = re.compile(r"[\"'](?P<secret>[A-Za-z0-9+/=_.~-]{20,256})[\"']")
NAME_CHARACTERS = 48
NAMED = re.compile(
    r"(?i:key|token|secret|passw(?:or)?d|passwd|pwd|credentials?|auth)[A-Za-z0-9_-]{0,24}"
    r"[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}\Z"
)

_SEPARATORS = re.compile(r"[+/=_.~-]+")
MIN_HEX_ENTROPY = 3.0
MIN_ENTROPY = 3.5


def is_documentation(secret: str) -> bool:
    """Returns whether a secret is written as an example, such as AWS's `AKIAIOSFODNN7EXAMPLE`."""
    lowered = secret.lower()
    if lowered in ("password", "passwd", "secret", "changeme"):
        return True
    return any(word in lowered for word in ("example", "xxxx", "placeholder", "0000000", "1234567"))


def is_json_web_token(token: str) -> bool:
    """Returns whether the first part of a token is a JSON object with an algorithm.

    Source: RFC 7515, section 4.
    """
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header


def is_random(value: str) -> bool:
    """Returns whether a string looks random: letters mixed with digits, and a high entropy.

    `your_api_key_2` does not: each of its parts has only letters, or only digits. The entropy is
    that of the characters, in bits. Below 3.0 (a
    hexadecimal string) or 3.5 (any other), it is taken for words: 16 random bytes in hexadecimal
    have 3.6 on average, 20 random letters and digits 4.0.

    The thresholds are ours: those of search tools (3.0 and 4.5) are for strings without a name, and
    20 characters cannot reach 4.5.
    """
    if all(part.isdigit() or part.isalpha() for part in _SEPARATORS.split(value) if part):
        return False
    is_hex = all(character in "0123456789abcdefABCDEF-" for character in value)
    return entropy(value) >= (MIN_HEX_ENTROPY if is_hex else MIN_ENTROPY)


def entropy(value: str) -> float:
    """Returns the Shannon entropy of a string's characters, in bits per character.

    >>> entropy("aabb")
    1.0
    """
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)
