"""Large counts, such as tokens, as short text."""


def spell_tokens(tokens: float) -> str:
    """Returns four significant digits and a unit.

    >>> spell_tokens(400_000_000_000), spell_tokens(20_480), spell_tokens(999_960), spell_tokens(7)
    ('400B', '20.48k', '1M', '7')
    """
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= 0.99995 * size:  # rounds to 1 of this unit, not to 1000 of the next
            return f"{tokens / size:.4g}{unit}"
    return f"{tokens:.4g}"
