"""Problems with verified Python solutions; the layout of a document is in `synthetic/render.py`."""

import functools
import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.synthetic.candidates import Candidate, Range, ranges, read_candidates
from codepretrain.data.synthetic.families import FAMILIES
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.render import document, has_heading, render
from codepretrain.data.synthetic.verdict_cache import verify_cached
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json

REFERENCE = "reference"  # the teacher of the generator's own solutions
_GENERATOR_LICENSE = "Apache-2.0"
_PROBLEMS_PER_SHARD = 64
_PROBED_TURNS = 3
_MAX_PROBLEMS = 1 << 40


@dataclass(frozen=True, kw_only=True)
class SyntheticCode(Reader):
    """Verified solutions: of generated problems, or candidates from files.

    Without `candidates`, the first `num_problems` problems of `seed` with their reference
    solutions. With it, the candidate solutions in the files that it matches
    (`synthetic/candidates.py`). What is not verified is skipped and counted. `verdicts` is a folder
    for verdicts: a second run of the same material runs no program.
    """

    num_problems: int = 1000
    seed: int = 0
    candidates: str | None = None
    verdicts: str | None = None

    def shards(self) -> Sequence[Range | range]:
        if self.candidates is not None:
            files = raw_files(self.candidates, reader="synthetic_code", option="candidates")
            return [part for file in files for part in ranges(file.path, file.name)]
        if not 1 <= self.num_problems <= _MAX_PROBLEMS:
            raise UserError(
                f"reader 'synthetic_code': num_problems: expected 1 to {_MAX_PROBLEMS:,}, found "
                f"{self.num_problems}"
            )
        starts = range(0, self.num_problems, _PROBLEMS_PER_SHARD)
        return [range(s, min(s + _PROBLEMS_PER_SHARD, self.num_problems)) for s in starts]

    def files(self, shard: Range | range) -> Sequence[RawFile]:
        if isinstance(shard, range):
            return [RawFile("", "problems", version=_generator_version())]
        return [RawFile(shard.path, shard.name)]

    def read(self, shard: Range | range, source: str) -> Iterator[Document | Skipped]:
        items = list(self.candidates_of(shard))
        candidates = [item for item in items if isinstance(item, Candidate)]
        verdicts = verify_cached(
            [(candidate.problem, candidate.solution) for candidate in candidates],
            folder=self.verdicts,
            name=self._name(shard),
            # Several reading processes keep the cores busy as it is.
            num_workers=None if multiprocessing.parent_process() is None else 1,
        )
        remaining = iter(verdicts)
        for item in items:
            if isinstance(item, Skipped):
                yield item
                continue
            verdict = next(remaining)
            if not verdict.is_verified:
                yield Skipped(item.origin, f"not verified: {verdict.status}")
            elif has_heading(item.problem, item.solution):
                yield Skipped(item.origin, "contains a heading of the layout")
            else:
                yield document(
                    item.problem,
                    item.solution,
                    source=source,
                    id=_id(item),
                    teacher=item.teacher,
                    license=item.license,
                    verdict=verdict,
                )

    def candidates_of(self, shard: Range | range) -> Iterator[Candidate | Skipped]:
        """Yields the candidates of a shard, not verified."""
        if isinstance(shard, Range):
            yield from read_candidates(shard)
            return
        for index in shard:
            problem = generate(self.seed, index)
            assert problem.solution is not None
            yield Candidate(
                problem=problem,
                solution=problem.solution,
                teacher=REFERENCE,
                license=_GENERATOR_LICENSE,
                origin=f"seed {self.seed} problem {index}",
            )

    def _name(self, shard: Range | range) -> str:
        if isinstance(shard, Range):
            file = hashlib.sha256(os.fsencode(shard.path)).hexdigest()[:16]
            return f"{file}-{shard.start:015d}"
        return f"seed-{self.seed}-{shard.start:012d}"


@functools.cache
def _generator_version() -> str:
    """Returns a hash of the documents of the first problems, some of each family.

    It changes with the generator, so prepared documents of another one are not taken for its own.
    """
    problems = [generate(0, index) for index in range(_PROBED_TURNS * len(FAMILIES))]
    documents = [
        (
            problem.id,
            problem.split_group,
            problem.difficulty,
            render(problem, problem.solution or ""),
        )
        for problem in problems
    ]
    return sha256_json({"documents": documents})[:16]


def _id(candidate: Candidate) -> str:
    """The problem's id, and a hash of a solution that is not its reference."""
    if candidate.solution == candidate.problem.solution:
        return candidate.problem.id
    text = candidate.solution.encode("utf-8", "surrogatepass")
    return f"{candidate.problem.id}/{hashlib.sha256(text).hexdigest()[:12]}"
