"""Which recorded evaluations are a study's own.

Phases are shared by fingerprint, and evaluations are outside the fingerprint. So one run may have
results of several studies under one evaluator's name, and results from before a study's evaluations
were changed. What identifies a result includes its items, which only a process that builds the
evaluators knows. It keeps what it finds, for the report, which builds none:

    workdir/evaluations/<hash of the data settings>/<12 hex>.json

The digits are of the specification, the model and the training settings. Files are named by what
decides the items, not by the study: two studies with the same data, model and specification have
the same evaluation. Importing this module needs no JAX.
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
    for identity in identities.values():
        path = _path(workspace, identity[SPEC])
        if _read(path) != identity:
            write_json(path, dict(identity))


def kept_identities(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Returns the identity of each of the study's evaluations, as it was last built.

    An evaluation that was never built on this data has its specification alone.

    Raises:
      UserError: a file is damaged.
    """
    identities = {}
    for name, config in workspace.config.evals.items():
        spec = spec_digest(*evaluator_request(name, config))
        kept = _read(_path(workspace, spec))
        identities[name] = kept if kept.get(SPEC) == spec else {SPEC: spec}
    return identities


def _path(workspace: Workspace, spec: str) -> epath.Path:
    config = workspace.config
    key = {"spec": spec, "model": to_dict(config.model), "training": to_dict(config.training)}
    name = f"{sha256_json(key)[:_SHORT]}.json"
    return workspace.workdir / "evaluations" / workspace.data_dir.name / name


def _read(path: epath.Path) -> dict[str, str]:
    return storage.read_json(path) if storage.is_file(path) else {}
