"""The runs of a ladder: mixtures at several model sizes and lengths, from several studies.

An arm is one mixture at one size and length: a variant whose phases all have that mixture, from
random parameters on. Mixtures are equal if their shares are, whatever their variants are called. An
arm that several studies have is there once, with the replicates of the one that has most of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codepretrain.report.arms import Arm, ScoresReader, find_arm
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.content import Content
from codepretrain.report.mixtures import Mixture, path_mixture, path_tokens

Point = tuple[int, int]  # parameters without embeddings, tokens


@dataclass(frozen=True, kw_only=True)
class LadderArm:
    """One mixture at one size and length.

    Attributes:
      fingerprints: of the last phase of every replicate.
      cells: of every metric that was measured, with the values of the replicates.
      find: returns the arm of a metric with its item scores' reader, None if it was not measured.
    """

    study: str
    variant: str
    point: Point
    mixture: Mixture
    fingerprints: frozenset[str]
    cells: Mapping[MetricRow, Cell]
    find: Callable[[MetricRow], tuple[Arm, ScoresReader] | None]

    def values(self, row: MetricRow) -> tuple[float, ...]:
        """Returns the values of the replicates, () where they were not measured."""
        cell = self.cells.get(row)
        return cell.values if cell is not None else ()


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """The arms of several sizes.

    Attributes:
      rows: the primary metrics of all studies, and their averages.
      target: the point with most compute, which the others predict.
      unique_tokens: of each source that is prepared.
      notes: what is left out: other runs of one mixture, size and length, and what was measured by
        another evaluation than at the target.
    """

    arms: tuple[LadderArm, ...]
    rows: tuple[MetricRow, ...]
    target: Point
    unique_tokens: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The sizes and lengths below the target, the smallest first."""
        return tuple(sorted({arm.point for arm in self.arms} - {self.target}))

    def at(self, point: Point) -> dict[Mixture, LadderArm]:
        """Returns the arms of a point by their mixture."""
        return {arm.mixture: arm for arm in self.arms if arm.point == point}

    def below(self, mixture: Mixture) -> list[LadderArm]:
        """Returns the arms of a mixture below the target, in size and in length."""
        return [arm for arm in self.arms if arm.mixture == mixture and arm.point != self.target]


def find_ladder(contents: Sequence[Content]) -> Ladder | None:
    """Returns the ladder of several studies, None unless they have one mixture at two sizes."""
    arms: dict[tuple[Mixture, Point], LadderArm] = {}
    rows: dict[MetricRow, None] = {}
    unique: dict[str, int] = {}
    notes: dict[str, None] = {}
    for content in contents:
        size = content.results.spec.num_parameters_non_embedding
        if size is None:
            continue
        for row in _rows(content):
            rows.setdefault(row)
        for source, splits in content.results.manifests.items():
            if "train" in splits:
                unique.setdefault(source, splits["train"].num_tokens)
        for variant in content.results.spec.variants:
            arm = _arm(content, variant, size)
            if arm is not None:
                key = arm.mixture, arm.point
                arms[key] = _one_of(arms.get(key, arm), arm, notes)
    sizes: dict[Mixture, set[int]] = {}
    for mixture, point in arms:
        sizes.setdefault(mixture, set()).add(point[0])
    if not any(len(of) > 1 for of in sizes.values()):
        return None
    target = max((point for _, point in arms), key=lambda point: (point[0] * point[1], point))
    return Ladder(
        arms=tuple(_of_one_evaluation(arms.values(), target, notes)),
        rows=tuple(rows),
        target=target,
        unique_tokens=unique,
        notes=tuple(notes),
    )


def _one_of(known: LadderArm, arm: LadderArm, notes: dict[str, None]) -> LadderArm:
    """Returns the arm with all runs of the other; else the first, and notes what is left out."""
    if arm.fingerprints > known.fingerprints:
        return arm
    if not arm.fingerprints <= known.fingerprints:
        notes[
            f"{arm.variant} of {arm.study} is left out: other runs of the mixture, size and length "
            f"of {known.variant} of {known.study}"
        ] = None
    return known


def _of_one_evaluation(
    arms: Iterable[LadderArm], target: Point, notes: dict[str, None]
) -> Iterator[LadderArm]:
    """Yields the arms with the cells that the target's evaluations measured."""
    arms = list(arms)
    expected: dict[MetricRow, str] = {}
    for arm in arms:
        if arm.point == target:
            for row, cell in arm.cells.items():
                expected.setdefault(row, cell.digest)
    for arm in arms:
        kept = {row: c for row, c in arm.cells.items() if expected.get(row, c.digest) == c.digest}
        for row in arm.cells.keys() - kept.keys():
            notes[
                f"{row.evaluator} of {arm.study} was measured with other items or settings than at "
                "the target, and is left out"
            ] = None
        yield replace(arm, cells=kept)


def is_loss(row: MetricRow) -> bool:
    """Returns whether scaling laws apply: a loss, and no share of answers."""
    return row.direction == "lower" and not row.is_percentage


def sign_of(row: MetricRow) -> int:
    return 1 if row.direction == "higher" else -1


def values_of(arms: Sequence[LadderArm], row: MetricRow) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points [R, 2] and the values [R] of all replicates of some arms."""
    runs = [(arm.point, value) for arm in arms for value in arm.values(row)]
    points = np.array([point for point, _ in runs], float).reshape(-1, 2)
    return points, np.array([value for _, value in runs])


def _rows(content: Content) -> list[MetricRow]:
    averages = content.averages
    rows = [*content.comparison.headline_rows]
    return rows + ([*averages.comparison.headline_rows] if averages is not None else [])


def _arm(content: Content, variant: str, size: int) -> LadderArm | None:
    path = content.results.path(variant)
    mixture = path_mixture(path)
    if mixture is None:
        return None
    comparisons = [content.comparison]
    if content.averages is not None:
        comparisons.append(content.averages.comparison)
    cells = {
        row: cell
        for comparison in comparisons
        for (row, name), cell in comparison.cells.items()
        if name == variant
    }
    averages = content.averages

    def find(row: MetricRow) -> tuple[Arm, ScoresReader] | None:
        of_average = averages is not None and row in averages.comparison.rows
        results: StudyResults = content.results
        read: ScoresReader = content.reader.of
        if of_average and averages is not None:
            results, read = averages.results, averages.averages.read
        arm = find_arm(results, variant, row)
        return (arm, read) if arm is not None else None

    return LadderArm(
        study=content.results.spec.study,
        variant=variant,
        point=(size, path_tokens(path)),
        mixture=mixture,
        fingerprints=frozenset(
            of[-1].plan.fingerprint for of in content.results.replicates(variant)
        ),
        cells=cells,
        find=find,
    )
