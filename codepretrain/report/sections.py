"""Sections of a report about all variants at once; each is there only where it can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.report.arms import ScoresReader
from codepretrain.report.averaged import Averaged
from codepretrain.report.best import Best, best_variants
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.differences import Reader
from codepretrain.report.evaluations import read_scores
from codepretrain.report.heatmap import Heatmap, heatmap
from codepretrain.report.pareto import Pareto, pareto
from codepretrain.report.token_equivalents import TokenEquivalents, token_equivalents
from codepretrain.report.trunks import Trunks, find_trunks


@dataclass(frozen=True, kw_only=True)
class Sections:
    """What is known of all variants together; None or empty where the study does not have it."""

    best: Sequence[Best] = ()
    trunks: Trunks | None = None
    pareto: Pareto | None = None
    heatmap: Heatmap | None = None
    tokens: TokenEquivalents | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "best": [one.to_json() for one in self.best],
            "trunks": self.trunks.to_json() if self.trunks else None,
            "pareto": self.pareto.to_json() if self.pareto else None,
            "heatmap": self.heatmap.to_json() if self.heatmap else None,
            "token_equivalents": self.tokens.to_json() if self.tokens else None,
        }


NO_SECTIONS = Sections()


def sections_of(
    results: StudyResults,
    comparison: Comparison,
    averages: Averaged | None,
    problems: list[str],
    *,
    read: ScoresReader = read_scores,
) -> Sections:
    """Returns the sections of a study.

    Args:
      problems: gets a line for every file of item scores that is damaged.
      read: the item scores of an evaluation, by metric.
    """
    reader = Reader(read, problems)
    return Sections(
        best=best_variants(results, comparison, averages, reader),
        trunks=find_trunks(results, comparison, averages, reader),
        pareto=pareto(results, averages, reader),
        heatmap=heatmap(results, comparison, reader),
        tokens=token_equivalents(results, comparison, averages, reader),
    )
