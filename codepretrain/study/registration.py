"""Whether the contrasts of a study were registered before the results of their variants.

Contrasts are outside the fingerprints, so a study file may gain one, or another margin, when the
runs are there and were looked at. `run`, `train` and `evaluate` keep each contrast as it is when
they start, with what the working directory knew of its variants then:

    workdir/contrasts/kept.json          since when contrasts are kept here
    workdir/contrasts/<12 hex>.json      a contrast as it was decided first: "before", "after"

The digits are of what a decision depends on: the phases that are compared, by fingerprint, with
their weights, the scores, the direction, the margin and the pairing. So a name, a question or
another study changes nothing, and a phase that is trained longer is another one, of which nothing
is known yet. The family is no part of it. "After": every arm had an evaluation at the end of its
last phase, in some replicate. Where runs are older than `kept.json`, that is "unknown". Importing
this module needs no JAX.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from etils import epath

from codepretrain.config.averages import all_shares
from codepretrain.config.schema import ContrastConfig
from codepretrain.errors import DamageError
from codepretrain.evals.averaged_scores import full_scores
from codepretrain.evals.contrast_scores import full_contrasts
from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_json
from codepretrain.metrics.evaluation_records import read_results
from codepretrain.study.replicates import last_phases
from codepretrain.study.workspace import Workspace

_STATUSES = ("before", "after", "unknown")
_SHORT = 12  # digits in a file's name
_FOLDER, _KEPT = "contrasts", "kept.json"


def keep_contrasts(workspace: Workspace) -> None:
    """Keeps the contrasts that are not kept yet. One process does that, before it trains."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    folder = workspace.workdir / _FOLDER
    is_evaluated = cache(partial(_is_evaluated, workspace))
    for name, contrast, definition, path in _definitions(workspace):
        if not storage.is_file(path):
            record = {"registered": _status(workspace, contrast, is_evaluated), "at": now}
            study = {"study": workspace.config.name, "contrast": name}
            write_json(path, {**record, **study, "definition": definition})
    if not storage.is_file(folder / _KEPT):
        write_json(folder / _KEPT, {"since": now})


def registrations(workspace: Workspace) -> dict[str, str]:
    """Returns contrast → "before", "after" or "unknown"; changes nothing.

    Raises:
      UserError: a file is damaged.
    """
    is_evaluated = cache(partial(_is_evaluated, workspace))
    return {
        name: _kept(path) if storage.is_file(path) else _status(workspace, contrast, is_evaluated)
        for name, contrast, _, path in _definitions(workspace)
    }


def _kept(path: epath.Path) -> str:
    found = storage.read_json(path).get("registered")
    if found not in _STATUSES:
        raise DamageError(
            f"{shown(path)} is damaged: expected registered as one of {', '.join(_STATUSES)}, "
            f"found {found!r}; restore or delete the file"
        )
    return str(found)


def _definitions(
    workspace: Workspace,
) -> list[tuple[str, ContrastConfig, Mapping[str, Any], epath.Path]]:
    """Returns each contrast with its name, what its decision depends on, and its file."""
    config = workspace.config
    shares = all_shares(full_scores(config))
    found: list[tuple[str, ContrastConfig, Mapping[str, Any], epath.Path]] = []
    for name, contrast in full_contrasts(config).items():
        arms = [
            [workspace.fingerprint(config.variants[variant]), weight]
            for variant, weight in sorted(contrast.arms.items())
        ]
        definition = {
            "arms": sorted(arms),
            "scores": shares.get(contrast.metric, {contrast.metric: 1.0}),
            "direction": contrast.direction,
            "margin": contrast.margin,
            "is_paired": contrast.is_paired,
        }
        path = workspace.workdir / _FOLDER / f"{sha256_json(definition)[:_SHORT]}.json"
        found.append((name, contrast, definition, path))
    return found


def _status(
    workspace: Workspace, contrast: ContrastConfig, is_evaluated: Callable[[str], bool]
) -> str:
    """Returns what a contrast is that was not kept until now.

    Args:
      is_evaluated: of a variant; it keeps its answers, as a baseline is in most contrasts.
    """
    if not all(map(is_evaluated, contrast.arms)):
        return "before"
    return "after" if storage.is_file(workspace.workdir / _FOLDER / _KEPT) else "unknown"


def _is_evaluated(workspace: Workspace, variant: str) -> bool:
    """Returns whether a variant has a result at the end of its last phase, in some replicate."""
    return any(
        record["step"] == workspace.phases[name].num_steps
        for name in last_phases(workspace.config, variant)
        for _, record in read_results(workspace.run_dir(name))
    )
