"""Designs of differences, for tests of power; the plan's are of `study/contrast_design.py`."""

import math

from codepretrain.inference.power import Design


def difference_design(
    *,
    num_replicates: int,
    run_sd: float,
    item_error: float,
    item_freedom: float,
    correlation: float | None = None,
    rest_sd: float = 0.0,
) -> Design:
    """Returns the design of a difference of two arms with equally many replicates.

    Args:
      correlation: ρ between paired replicates; None for independent ones.
    """
    if correlation is None:
        return Design(
            num_replicates=(num_replicates,) * 2,
            run_sd=(run_sd,) * 2,
            item_error=item_error,
            item_freedom=item_freedom,
            rest_sd=rest_sd,
        )
    return Design(
        num_replicates=(num_replicates,),
        run_sd=(run_sd * math.sqrt(2 * (1 - correlation)),),
        item_error=item_error,
        item_freedom=item_freedom,
        rest_sd=rest_sd * math.sqrt(2),
    )
