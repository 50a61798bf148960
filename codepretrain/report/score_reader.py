"""One reader of item scores for a whole report: what was read is kept while there is room."""

from collections.abc import Callable, Hashable, Mapping

from codepretrain.report.evaluations import Evaluation, read_scores
from codepretrain.report.paired import PairedScores

_MAX_SCORES = 8_000_000  # that are kept: about 0.5 GB with their ids


class ScoreReader:
    """Reads the item scores of evaluations, each once while it is among the last ones read.

    Args:
      max_scores: item scores, over all metrics, that are kept; at least the last evaluation is.
    """

    def __init__(self, max_scores: int = _MAX_SCORES) -> None:
        self._max_scores = max_scores
        self._kept: dict[Hashable, Mapping[str, PairedScores] | ValueError] = {}
        self._num_scores = 0

    def of(self, evaluation: Evaluation) -> Mapping[str, PairedScores]:
        """Returns the scores by metric.

        Raises:
          ValueError: the file is missing or damaged; says of which phase, and how to mend it.
        """
        try:
            return self.kept(key_of(evaluation), lambda: read_scores(evaluation))
        except ValueError as error:
            whose = f"{evaluation.phase}: " if evaluation.phase else ""
            raise ValueError(
                f"{whose}the item scores of {evaluation.evaluator} at step {evaluation.step:,} are "
                f"lost and are in no comparison: {error}; run `{evaluation.mend}`"
            ) from error

    def kept(
        self, key: Hashable, make: Callable[[], Mapping[str, PairedScores]]
    ) -> Mapping[str, PairedScores]:
        """Returns the scores of a key, made if they are not kept; an error is kept, too.

        Raises:
          ValueError: `make` raised it, now or before.
        """
        found = self._kept.pop(key, None)
        if found is None:
            try:
                found = make()
            except ValueError as error:
                found = error
            self._num_scores += _size(found)
        self._kept[key] = found
        while self._num_scores > self._max_scores and len(self._kept) > 1:
            self._num_scores -= _size(self._kept.pop(next(iter(self._kept))))
        if isinstance(found, ValueError):
            raise found
        return found


def key_of(evaluation: Evaluation) -> tuple[str, str, int, str]:
    """Returns what identifies a result: equal keys have the same scores."""
    return evaluation.folder, evaluation.evaluator, evaluation.step, evaluation.digest


def _size(scores: Mapping[str, PairedScores] | ValueError) -> int:
    return 0 if isinstance(scores, ValueError) else sum(len(of.ids) for of in scores.values())
