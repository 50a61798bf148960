"""Which recorded evaluations are a study's own.

Phases are shared by fingerprint, and evaluations are outside the fingerprint. So one run may have
results of several studies under one evaluator's name, and results from before a study's evaluations
were changed. What identifies a result includes its items, which only a process that builds the
evaluators knows. It keeps what it finds, for the report, which builds none:

    workdir/evaluations/<hash of the data settings>/<12 hex>.json

The digits are of the specification, the model and the training settings. Files are named by what
decides the items, not by the study: two studies with the same data, model and specification have
the same evaluation. A specification does not say where files such as those of a benchmark are
(`EvaluatorKind.execution_options`), so two evaluations of one specification may have other items.
Such an identity is kept twice: for these places, and for a command that names no place, or another
one, as the newest of its specification. Importing this module needs no JAX.
"""

from collections.abc import Mapping

from etils import epath

from codepretrain.config.parse import to_dict
from codepretrain.evals.identity import SPEC, spec_digest
from codepretrain.evals.registry import evaluator_request
from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.files.hashing import sha256_json
from codepretrain.study.workspace import Workspace

_SHORT = 12  # digits in a file's name


def keep_identities(workspace: Workspace, identities: Mapping[str, Mapping[str, str]]) -> None:
    """Keeps the identities of the study's evaluations, by name, as they were just built."""
    for name, identity in identities.items():
        spec, paths = _spec_and_paths(workspace, name)
        assert identity[SPEC] == spec, (name, identity, spec)
        for path in paths:
            if _read(path) != identity:
                write_json(path, dict(identity))


def kept_identities(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Returns the identity of each of the study's evaluations, as it was last built.

    An evaluation that was never built on this data has its specification alone.

    Raises:
      UserError: a file is damaged.
    """
    identities = {}
    for name in workspace.config.evals:
        spec, paths = _spec_and_paths(workspace, name)
        found = (kept for path in paths if (kept := _read(path)).get(SPEC) == spec)
        identities[name] = next(found, {SPEC: spec})
    return identities


def _spec_and_paths(workspace: Workspace, name: str) -> tuple[str, list[epath.Path]]:
    """Returns an evaluation's specification and its files: of its places, then of all places."""
    config = workspace.config
    kind, request = evaluator_request(name, config.evals[name])
    spec = spec_digest(kind, request)
    key = {"spec": spec, "model": to_dict(config.model), "training": to_dict(config.training)}
    keys = [key]
    if kind.execution_options:
        places = {option: getattr(request.options, option) for option in kind.execution_options}
        keys.insert(0, {**key, "execution_options": places})
    folder = workspace.workdir / "evaluations" / workspace.data_dir.name
    return spec, [folder / f"{sha256_json(one)[:_SHORT]}.json" for one in keys]


def _read(path: epath.Path) -> dict[str, str]:
    return storage.read_json(path) if storage.is_file(path) else {}
