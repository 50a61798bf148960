"""Token equivalents as rows of text."""

import math

from codepretrain.report.mixtures import mixture_text
from codepretrain.report.token_equivalents import EquivalentTokens, TokenEquivalents
from codepretrain.report.wording import number, short_label, tokens_text


def token_title(found: TokenEquivalents) -> tuple[str, str]:
    """Returns the baseline's mixture, and its variants with their tokens."""
    lengths = [f"{variant} ({tokens_text(tokens)})" for tokens, variant in found.curve]
    return mixture_text(found.mixture), ", ".join(lengths)


def token_rows(found: TokenEquivalents) -> list[dict[str, str]]:
    """Returns a row per metric and variant."""
    rows = [one.row for one in found.found]
    return [
        {
            "metric": short_label(one.row, rows),
            "variant": one.variant,
            "tokens": tokens_text(one.tokens),
            "equivalent": _tokens(one, one.equivalent.ratio),
            "interval": " – ".join(
                _tokens(one, end)
                for end in (one.equivalent.interval.low, one.equivalent.interval.high)
            ),
            "ratio": _ratio(one),
            "between": one.difference.between.text,
        }
        for one in found.found
    ]


def _tokens(one: EquivalentTokens, ratio: float) -> str:
    """Returns tokens, or that they lie beyond an end of the curve."""
    if math.isinf(ratio):
        return f"> {tokens_text(one.longest)}"
    return tokens_text(ratio * one.longest) if ratio else f"< {tokens_text(one.shortest)}"


def _ratio(one: EquivalentTokens) -> str:
    ratio = one.equivalent.ratio * one.longest / one.tokens
    if math.isinf(ratio):
        return f"> {number(one.longest / one.tokens, digits=2)}"
    return number(ratio, digits=2) if ratio else "below the curve"
