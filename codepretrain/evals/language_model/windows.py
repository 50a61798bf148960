"""The windows in which a sequence longer than the model's rows is scored."""

from collections.abc import Iterator, Sequence


def rolling_windows(
    tokens: Sequence[int], *, prefix: int, max_seq_len: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yields (context, continuation) such that each token is in one continuation.

    A window of at most `max_seq_len` inputs for rows of 4; p is the prefix:

        tokens         a b c d e f g h i j
        window 1     p a b c d                  context p, continuation a b c d
        window 2             d e f g h          context d
        window 3                 f g h i j      context f g h: the last window is as long as any

    Source: lm-evaluation-harness, `get_rolling_token_windows` with a context of one token, followed
    by `make_disjoint_window`.
    """
    end = 0
    while end < len(tokens):
        start, end = end, min(end + max_seq_len, len(tokens))
        if start == 0:
            context = [prefix]
        else:
            context = list(tokens[end - max_seq_len - 1 : start])
        yield context, list(tokens[start:end])
