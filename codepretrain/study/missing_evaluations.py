"""Which evaluations of a checkpoint are to be made: those that no record and item files hold."""

from collections.abc import Sequence

from rich.console import Console

from codepretrain.evals.build import Evaluator
from codepretrain.evals.item_scores import item_damage
from codepretrain.hosts import decide
from codepretrain.metrics.writer import NOT_RECORDED, MetricsWriter


def missing_evaluations(
    evaluators: Sequence[Evaluator], writer: MetricsWriter, name: str, step: int, console: Console
) -> list[Evaluator]:
    """Returns the evaluations that process 0 does not find recorded with whole item files.

    Reads the item files of this step, and says which are lost. Every process must call it.

    Args:
      name: the phase, for messages.
    """
    reasons: dict[str, str] = decide(
        "the recorded evaluations",
        lambda: {
            one.name: why
            for one in evaluators
            if (why := writer.why_evaluate(step, one.name, one.digest, damage=item_damage))
        },
    )
    for evaluator, why in reasons.items():
        if why != NOT_RECORDED:
            line = f"{name}: evaluating {evaluator} of step {step:,} again: {why}"
            console.print(line, soft_wrap=True)
    return [one for one in evaluators if one.name in reasons]
