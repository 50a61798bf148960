"""The metrics of an evaluation by the harness: `<task>/…` of one task, and averages."""

from codepretrain.evals.metric import Direction, MetricSpec


def _spec(
    name: str, unit: str, direction: Direction | None, *, is_primary: bool = False
) -> MetricSpec:
    return MetricSpec(
        name=name, unit=unit, direction=direction, cluster="passage", is_primary=is_primary
    )


# The mean over categories of the mean over tasks of each task's score, without excluded tasks. The
# score is a multiple-choice task's accuracy, a generation's exact match, or the first metric of
# another task that is a share.
AVERAGE = _spec("average", "fraction", "higher", is_primary=True)
CATEGORY_AVERAGE = _spec("average/*", "fraction", "higher")
# The same with the excluded tasks, where there are any.
UNFILTERED_AVERAGE = _spec("unfiltered_average", "fraction", "higher")
UNFILTERED_CATEGORY_AVERAGE = _spec("unfiltered_average/*", "fraction", "higher")
# The mean over tasks that score whole texts.
AVERAGE_BITS = _spec("average_bits_per_byte", "bits/byte", "lower", is_primary=True)

# Correct if a right choice has the largest Σ log p of its tokens.
ACCURACY = _spec("*/accuracy", "fraction", "higher")
# The same, with the sum divided by the choice's number of characters: the harness's acc_norm.
ACCURACY_PER_CHARACTER = _spec("*/accuracy_per_character", "fraction", "higher")
# -Σ log2 p of the right choices over their bytes, the white space before them included. Smooth
# where the accuracy of a small model stays at chance.
GOLD_BITS = _spec("*/gold_bits_per_byte", "bits/byte", "lower")
# A score of the harness that is a number per item: a share such as "exact_match", or another.
SCORE = _spec("*/score/*", "fraction", "higher")
OTHER_SCORE = _spec("*/score/*", "value", "higher")
LOWER_SCORE = _spec("*/score/*", "value", "lower")
# A score of the harness that is computed from all items together. Its standard error is the spread
# of resampled passages.
AGGREGATE = _spec("*/aggregate/*", "value", "higher")
LOWER_AGGREGATE = _spec("*/aggregate/*", "value", "lower")
# Of whole texts.
BITS_PER_BYTE = _spec("*/bits_per_byte", "bits/byte", "lower")

# Accuracies of policies without a model: always the most common right position, the longest choice,
# the shortest one.
BASELINE = _spec("*/baseline/*", "fraction", None)
# How often a position was chosen, by Σ log p.
PREDICTED = _spec("*/predicted/*", "fraction", None)

SPECS = (
    AVERAGE,
    CATEGORY_AVERAGE,
    UNFILTERED_AVERAGE,
    UNFILTERED_CATEGORY_AVERAGE,
    AVERAGE_BITS,
    ACCURACY,
    ACCURACY_PER_CHARACTER,
    GOLD_BITS,
    SCORE,
    OTHER_SCORE,
    LOWER_SCORE,
    AGGREGATE,
    LOWER_AGGREGATE,
    BITS_PER_BYTE,
    BASELINE,
    PREDICTED,
)
