"""Verdicts of earlier runs, by content.

    <folder>/<name>.json    key → status and the sandbox's layers

A name is a shard of the source, so a run reads and writes few files. A key is a hash of all that
decides a verdict: the candidate, the tests, and the programs that run them. Only verdicts that
would be the same again are kept: no timeouts.
"""

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from codepretrain.data.synthetic.problem import Problem
from codepretrain.data.synthetic.programs import checking_program, recording_program
from codepretrain.data.synthetic.verify import VERIFIED, Verdict, verify
from codepretrain.errors import UserError
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS
from codepretrain.files.atomic import write_json
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.storage import StrPath, read_json

_KEPT = (VERIFIED, "wrong", "not Python", "too large")


def verify_cached(
    items: Sequence[tuple[Problem, str]],
    *,
    folder: StrPath | None,
    name: str,
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    num_workers: int | None = None,
) -> list[Verdict]:
    """Returns what `verify` does, and runs only what has no kept verdict.

    Args:
      items: problems and candidate solutions.
      folder: where verdicts are kept; None: nowhere.
      name: of the file in it. Processes that use one folder use different names.
      required_layers: of the sandbox, also of a kept verdict.
      num_workers: programs that run at once, by default one per CPU.

    Raises:
      UserError: this machine does not grant a required layer, or the folder cannot be written.
    """
    path = None if folder is None else epath.Path(folder) / f"{name}.json"
    kept = {} if path is None else _load(path, required_layers)
    keys = [_key(problem, candidate) for problem, candidate in items]
    missing = [i for i, key in enumerate(keys) if key not in kept]
    remaining = [items[i] for i in missing]
    new = (
        verify(remaining, required_layers=required_layers, num_workers=num_workers)
        if remaining
        else []
    )
    found = {keys[i]: verdict for i, verdict in zip(missing, new, strict=True)}
    current = {key: kept[key] for key in keys if key in kept} | found
    lasting = {key: verdict for key, verdict in current.items() if verdict.status in _KEPT}
    if path is not None and lasting.keys() != kept.keys():
        write_json(path, {key: [v.status, *v.isolation] for key, v in lasting.items()})
    return [current[key] for key in keys]


def _key(problem: Problem, candidate: str) -> str:
    """Hashes the programs themselves: whatever changes them changes the key."""
    empty = [[("done", None) for _ in test] for test in problem.tests]
    programs = [recording_program(problem, candidate), checking_program([(problem, empty)], [""])]
    text = "\0".join([platform.python_version(), *programs])
    return sha256_bytes(text.encode("utf-8", "surrogatepass"))


def _load(path: epath.Path, required_layers: Sequence[str]) -> Mapping[str, Verdict]:
    """Returns the kept verdicts that were reached in all required layers.

    A damaged file is no error: its verdicts are reached again.
    """
    try:
        value = read_json(path)
    except UserError:
        return {}
    verdicts = {key: _verdict(entry) for key, entry in value.items()}
    return {
        key: verdict
        for key, verdict in verdicts.items()
        if verdict is not None
        and (not verdict.is_verified or set(required_layers) <= set(verdict.isolation))
    }


def _verdict(entry: Any) -> Verdict | None:
    if not isinstance(entry, list) or not entry or not all(isinstance(x, str) for x in entry):
        return None
    return Verdict(entry[0], tuple(entry[1:])) if entry[0] in _KEPT else None
