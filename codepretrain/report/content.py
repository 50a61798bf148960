"""Everything that a report shows, computed once for the page, the terminal and the exports."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from codepretrain.report.averaged import Averaged
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.judged import NOTHING_JUDGED, Judged
from codepretrain.report.published import Published
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.sections import NO_SECTIONS, Sections


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a study's report.

    Attributes:
      comparison: of all variants with the baseline.
      pairs: of the variants other than the baseline.
      averages: None for a study without any.
      contrasts: those that the study registered, in its order.
      reader: of the item scores behind it.
      published: numbers of a paper about the study's phases, None if there are none.
      sections: what is known of all variants together.
    """

    results: StudyResults
    comparison: Comparison
    pairs: Sequence[Comparison]
    written_at: str
    judged: Judged = NOTHING_JUDGED
    averages: Averaged | None = None
    contrasts: Sequence[ContrastResult] = ()
    published: Published | None = None
    sections: Sections = NO_SECTIONS
    reader: ScoreReader = field(default_factory=ScoreReader, compare=False)
