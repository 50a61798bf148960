"""Grades of trivial policies and of the benchmark's own solutions, once per identity.

    <folder>/<digest>-baselines.jsonl    a line per program

They depend on no model. A reference that fails means that the problem cannot be solved here, for
instance because this version of Python lacks what it uses.
"""

from collections.abc import Mapping

from etils import epath

from codepretrain.evals.programs.grade import Grade
from codepretrain.evals.programs.grading import Grading
from codepretrain.evals.programs.problem import POLICIES
from codepretrain.evals.progress import Progress
from codepretrain.files.hashing import sha256_json

REFERENCE = "reference"
NAMES = (REFERENCE, *POLICIES)


def baselines(
    grading: Grading, progress: Progress, *, folder: epath.Path, identity: Mapping[str, str]
) -> dict[str, list[Grade]]:
    """Returns the grade of each problem for each of `NAMES`. Every process calls it.

    Raises:
      UserError: the file of an earlier call is damaged, or it cannot be written.
    """
    from codepretrain.evals.language_model import RequestCache  # imports JAX

    texts = {
        name: [p.reference if name == REFERENCE else p.policies[name] for p in grading.problems]
        for name in NAMES
    }
    wanted = [pair for some in texts.values() for pair in enumerate(some)]
    digest = sha256_json(identity)
    with RequestCache(folder / f"{digest}-baselines.jsonl", digest) as kept:
        grades = grading(wanted, progress, kept=kept, what="programs of baselines")
    return {name: [grades[pair] for pair in enumerate(some)] for name, some in texts.items()}
