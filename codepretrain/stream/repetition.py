"""Refuses a phase that would read a source more often than its repetition cap allows.

A cursor draws a source's rows epoch by epoch, each epoch a permutation of all rows. A path has one
cursor per source until a phase restarts it (`data_order="restart"`): from there on a new cursor
draws the same permutations again from their beginning. Let a source hold n rows, and let the
cursors of a path have drawn D₁, D₂, … rows of it. Then

    mean reads of a row       Σ Dⱼ / n
    reads of any one row      ≤ Σ ⌈Dⱼ / n⌉

since a cursor that has drawn D rows has read each row ⌊D/n⌋ or ⌈D/n⌉ times. The bound is reached if
no cursor passed its first epoch: all of them read the same first row.

A cap of c epochs (`max_epochs`) allows c reads on average and ⌈c⌉ of any one row. Without restarts
the second follows from the first: D/n ≤ c gives ⌈D/n⌉ ≤ ⌈c⌉.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from codepretrain.errors import UserError


def check_repetition(
    *,
    phase: str,
    draws: Mapping[str, Sequence[int]],
    tokens_held: Mapping[str, int | None],
    max_epochs: Mapping[str, float],
    max_seq_len: int,
) -> None:
    """Checks that no source is read more often than its cap allows by the end of a phase.

    Args:
      phase: its name, for the error.
      draws: per source, the rows that each cursor of the study path has drawn when the phase ends.
      tokens_held: per source, the tokens of one epoch: num_rows · max_seq_len once it is prepared,
        the declared `num_tokens` before. A source of unknown size (None) is not checked.
      max_epochs: per source, the cap.
      max_seq_len: tokens per row.

    Raises:
      UserError: a source exceeds its cap; says by how many tokens or reads.
    """
    for source in sorted(draws):
        held, cap = tokens_held[source], Fraction(str(max_epochs[source]))
        if held is None:
            continue
        read = sum(draws[source]) * max_seq_len
        allowed = math.floor(cap * held)
        field = f"config.data.sources.{source}.max_epochs"
        if read > allowed:
            epochs = f"{read / held:.4g} epochs" if held else "it is empty"
            raise UserError(
                f"phase {phase!r} would have read {read:,} tokens of source {source!r}, which "
                f"holds {held:,} ({epochs}); {field} = {float(cap):g} allows {allowed:,}, so "
                f"{read - allowed:,} are missing: add data, lower its weight or the budget, or "
                f"raise {field}"
            )
        reads = most_reads(draws[source], tokens_held=held, max_seq_len=max_seq_len)
        if reads > math.ceil(cap):
            raise UserError(
                f"phase {phase!r} would have read some rows of source {source!r} {reads} times, "
                f"because data_order='restart' reads the same rows again; {field} = "
                f"{float(cap):g} allows {math.ceil(cap)}: use data_order='continue', or raise "
                f"{field} to {reads}"
            )


def most_reads(draws: Sequence[int], *, tokens_held: int, max_seq_len: int) -> int:
    """Returns an upper bound on the reads of any one row; see above. 0 if nothing was drawn.

    Args:
      draws: rows that each cursor has drawn of one source.
      tokens_held: positive unless nothing was drawn.
      max_seq_len: tokens per row.
    """
    return sum(-(-rows * max_seq_len // tokens_held) for rows in draws if rows)
