"""How far two judges agree about the same completions.

The verdict of a judge on a prompt is the sum of its two orders: a win if it is positive, a loss if
it is negative, and a tie if the orders contradict each other or both are ties.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.judge.result import JudgeResult
from codepretrain.report.win_rate import Rate, kappa, share, signs


@dataclass(frozen=True, kw_only=True)
class JudgeAgreement:
    """Two judges on one comparison.

    Attributes:
      replicate: of both variants, from 0.
      judges: their folders in the working directory.
      num_prompts: with verdicts by both, other than identical completions.
      agreement: share of prompts with the same verdict.
      kappa: the same beyond chance (`OrderEffect.kappa`).
    """

    evaluator: str
    variant: str
    reference: str
    replicate: int
    judges: tuple[str, str]
    num_prompts: int
    agreement: Rate
    kappa: float


def judge_agreements(
    results: Mapping[str, Sequence[JudgeResult]],
) -> list[JudgeAgreement]:
    """Returns the agreement of every two judges on every comparison that both have judged.

    Args:
      results: those of each judge.
    """
    found = []
    for one, other in itertools.combinations(sorted(results), 2):
        theirs = {_key(result): result for result in results[other]}
        for result in results[one]:
            if _key(result) in theirs:
                found.append(_agreement((one, other), (result, theirs[_key(result)])))
    return found


def _key(result: JudgeResult) -> tuple[str, str, str, int]:
    names = result.variant["variant"], result.reference["variant"]
    return result.evaluator, *names, result.replicate


def _agreement(judges: tuple[str, str], results: tuple[JudgeResult, JudgeResult]) -> JudgeAgreement:
    verdicts = [
        {j.id: float(np.sign(signs(j).sum())) for j in r.judgments if j.is_asked and j.is_complete}
        for r in results
    ]
    ids = sorted(verdicts[0].keys() & verdicts[1].keys())
    pairs = np.array([[verdicts[0][name], verdicts[1][name]] for name in ids]).reshape(-1, 2)
    evaluator, variant, reference, replicate = _key(results[0])
    return JudgeAgreement(
        evaluator=evaluator,
        variant=variant,
        reference=reference,
        replicate=replicate,
        judges=judges,
        num_prompts=len(ids),
        agreement=share((pairs[:, 0] == pairs[:, 1]).astype(np.float64)),
        kappa=kappa(pairs),
    )
