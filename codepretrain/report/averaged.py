"""The section of a study's averages: their comparison, and which of them are not there."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.schema import AveragesConfig
from codepretrain.report.averages import Averages, Missing, average
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison, compare_pairs, compare_to_baseline
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.wording import listed


@dataclass(frozen=True, kw_only=True)
class Averaged:
    """The averages of a study.

    Attributes:
      averages: with the items of each.
      comparison: of the variants, with a correction of p-values of its own.
      missing: of all steps.
    """

    config: AveragesConfig
    averages: Averages
    comparison: Comparison
    pairs: Sequence[Comparison]
    missing: Sequence[Missing]
    problems: Sequence[str]

    @property
    def results(self) -> StudyResults:
        """The study with its averages in place of evaluations (`averages.py`)."""
        return self.averages.results

    def without_problems(self, told: Sequence[str]) -> "Averaged":
        """Returns these without the problems that the report tells elsewhere."""
        return dataclasses.replace(self, problems=[p for p in self.problems if p not in told])

    @property
    def notes(self) -> list[str]:
        """Returns a line per phase and reason for which averages are missing at its end."""
        names: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
        for one in self.missing:
            if one.is_end:
                names.setdefault((one.phase, one.step, one.reasons), []).append(
                    one.average.replace("/", " ")
                )
        return [
            f"{phase}, step {step:,}: no average of {listed(averages)}: {'; '.join(reasons)}"
            for (phase, step, reasons), averages in names.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns the averages of every step of every phase, and why others are not there.

        Which scores they are of, and which are excluded, is in the study's own fields.
        """
        return {
            "phases": {
                name: [dataclasses.asdict(evaluation) for evaluation in run.evaluations]
                for name, run in self.results.runs.items()
            },
            "missing": [dataclasses.asdict(one) for one in self.missing],
            "problems": list(self.problems),
        }


def compare_averages(results: StudyResults, reader: ScoreReader | None = None) -> Averaged | None:
    """Returns the averages of a study and their comparison, None for a study without any."""
    config = results.spec.averages
    if not config.categories:
        return None
    averages = average(results, reader)
    comparison = compare_to_baseline(averages.results, read=averages.read)
    pairs = compare_pairs(averages.results, read=averages.read)
    problems = [*averages.problems, *comparison.problems]
    return Averaged(
        config=config,
        averages=averages,
        comparison=comparison,
        pairs=pairs,
        missing=averages.missing,
        problems=list(dict.fromkeys(problems)),
    )
