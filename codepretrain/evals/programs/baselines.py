"""Grades of trivial policies and of the benchmark's own solutions, once per identity.

    <folder>/<digest>-baselines.json    policy → the grades of the problems, in order

They depend on no model. A reference that fails means that the problem cannot be solved here, for
instance because this version of Python lacks what it uses.
"""

from collections.abc import Mapping
from typing import Any

from etils import epath

from codepretrain.evals.programs.grade import Grade
from codepretrain.evals.programs.grading import Grading
from codepretrain.evals.programs.problem import POLICIES
from codepretrain.evals.progress import Progress
from codepretrain.files.atomic import write_json
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import MissingFileError, read_json

REFERENCE = "reference"
NAMES = (REFERENCE, *POLICIES)


def baselines(
    grading: Grading, progress: Progress, *, folder: epath.Path, identity: Mapping[str, str]
) -> dict[str, list[Grade]]:
    """Returns the grade of each problem for each of `NAMES`. Every process calls it.

    Raises:
      UserError: the file of an earlier call is damaged, or it cannot be written.
    """
    from codepretrain.hosts import decide, share  # imports JAX

    path = folder / f"{sha256_json(identity)}-baselines.json"
    found: list[dict[str, Any]] = []
    decide("the grades of the baselines", lambda: found.extend(_read(path)))
    values = share(found[0] if found else None)
    if values is not None:
        return {name: [Grade.from_json(value) for value in values[name]] for name in NAMES}
    texts = {
        name: [p.reference if name == REFERENCE else p.policies[name] for p in grading.problems]
        for name in NAMES
    }
    wanted = [pair for some in texts.values() for pair in enumerate(some)]
    grades = grading(wanted, progress, what="programs of baselines")
    result = {name: [grades[pair] for pair in enumerate(some)] for name, some in texts.items()}
    plain = {name: [grade.to_json() for grade in some] for name, some in result.items()}
    decide("the record of the baselines", lambda: write_json(path, plain))
    return result


def _read(path: epath.Path) -> list[dict[str, Any]]:
    try:
        return [read_json(path)]
    except MissingFileError:
        return []
