"""Refuses a phase that would read a source more often than its repetition cap allows."""

import math
from collections.abc import Mapping
from fractions import Fraction

from codepretrain.errors import UserError


def check_repetition(
    *,
    phase: str,
    ordinals: Mapping[str, int],
    tokens_held: Mapping[str, int | None],
    max_epochs: Mapping[str, float],
    max_seq_len: int,
) -> None:
    """Checks that no source is read more than `max_epochs` times by the end of a phase.

    ordinals: rows of each source that the study path has drawn when the phase ends.
    tokens_held: what one epoch of each source holds: num_rows · max_seq_len once it is prepared,
      the declared `num_tokens` before; None where that is not known, which checks nothing.

    Raises:
      UserError: a source passes its cap; says by how many tokens.
    """
    for source in sorted(ordinals):
        held = tokens_held[source]
        if held is None:
            continue
        asked = ordinals[source] * max_seq_len
        allowed = math.floor(Fraction(str(max_epochs[source])) * held)
        if asked > allowed:
            epochs = f"{asked / held:.4g} epochs" if held else "it is empty"
            raise UserError(
                f"phase {phase!r} would have read {asked:,} tokens of source {source!r}, which "
                f"holds {held:,} ({epochs}); its cap of {max_epochs[source]:g} epochs allows "
                f"{allowed:,}, so {asked - allowed:,} are missing: add data, lower its weight or "
                f"the budget, or raise data.sources.{source}.max_epochs"
            )
