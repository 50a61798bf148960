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

# Groups joined by hyphens, 16 characters at least. No two groups are adjacent without a hyphen, so
# a text matches in one way only.
_SLACK = r"\bxox[abeoprs]-(?=[A-Za-z0-9-]{16})[A-Za-z0-9]{1,200}(?:-[A-Za-z0-9]{1,200}){0,5}"

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
    _pattern("slack_token", "xox", _SLACK + _END),
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
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,2000}"
        + _END,
    ),
    _pattern(
        "url_password",
        "://",
        r"(?<=[a-z0-9])://[^\s/:@\"'<>]{1,64}:(?P<secret>[^\s/:@\"'<>${}]{6,128})@[A-Za-z0-9]",
    ),
)

# A quoted value without spaces. It is a secret if what precedes it, up to `NAME_CHARACTERS`, ends
# in the assignment to a name that says so (`is_named`).
QUOTED = re.compile(r"[\"'](?P<secret>[A-Za-z0-9+/=_.~-]{20,256})[\"']")
NAME_CHARACTERS = 48
_NAMED = re.compile(
    r"(?i:(?:key|token|secret|passw(?:or)?d|passwd|pwd|credentials?|auth)"
    r"(?:[_-]?(?:base|value|string|hex|b64|base64|production|prod|development|dev|staging|test))?)"
    r"[_-]?\d{0,4}[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}\Z"
)
# `public_key`, `NextToken`: keys that are no secrets, and names of entries.
_OTHER = re.compile(
    r"(?i:public|pub|result|next|previous|prev|page|pagination|continuation|primary|foreign|sort"
    r"|partition|cache|group|lock)[_-]?\Z"
)

_SEPARATORS = re.compile(r"[+/=_.~-]+")
MIN_MIXED = 8  # characters
# Words in a name or a sentence, with capitals or without.
_WORD = re.compile(r"[A-Z][a-z]{3,}|[a-z]{5,}|[A-Z]{4,}")
MAX_WORD_SHARE, MAX_WORD_DIGITS = 0.7, 0.1
MIN_HEX_ENTROPY = 3.0
MIN_ENTROPY = 3.5


def is_documentation(secret: str) -> bool:
    """Returns whether a secret is written as an example, such as AWS's `AKIAIOSFODNN7EXAMPLE`."""
    lowered = secret.lower()
    if lowered in ("password", "passwd", "secret", "changeme"):
        return True
    return any(word in lowered for word in ("example", "xxxx", "placeholder", "0000000", "1234567"))


def is_named(before: str) -> bool:
    """Returns whether a text ends in the assignment to a name of a secret, such as `api_key = `."""
    match = _NAMED.search(before)
    return match is not None and not _OTHER.search(before, 0, match.start())


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

    `access_logs.s3.bucket` does not: of its parts, those with letters and digits have less than 8
    characters together.
    `S3AccessPointAttachments` does not: at least 70% of its characters are in words, and at most
    10% are digits. So are 1% of random strings of 20 letters and digits. The entropy is that of the
    characters, in bits. Below 3.0 (a hexadecimal string) or 3.5 (any other), it is taken for words:
    16 random bytes in hexadecimal have 3.6 on average, 20 random letters and digits 4.0.

    The thresholds are ours: those of search tools (3.0 and 4.5) are for strings without a name, and
    20 characters cannot reach 4.5.
    """
    parts = [part for part in _SEPARATORS.split(value) if not part.isdigit() and not part.isalpha()]
    if sum(map(len, parts)) < MIN_MIXED:
        return False
    num_in_words = sum(map(len, _WORD.findall(value)))
    num_digits = sum(map(str.isdigit, value))
    if num_in_words >= MAX_WORD_SHARE * len(value) and num_digits <= MAX_WORD_DIGITS * len(value):
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
