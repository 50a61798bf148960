"""The identity of an evaluation: digests of what decides its result besides the parameters.

Two results of one checkpoint are the same measurement only if their identities are equal. A record
in `evals.jsonl` has the named digests, which say what differs, and the digest of them all.
Importing this module needs no JAX.
"""

import dataclasses
from collections.abc import Mapping

from codepretrain.evals.evaluator import AnyEvaluatorKind, Request
from codepretrain.files.hashing import sha256_json

SPEC = "spec"  # the name of `spec_digest` in an identity


def spec_digest(kind: AnyEvaluatorKind, request: Request) -> str:
    """Returns the digest of what a study asks for: the kind, its options and the number of items.

    Options are compared by value, defaults included. Those that only change the execution are left
    out.
    """
    options = dataclasses.asdict(request.options)
    unknown = kind.execution_options - options.keys()
    assert not unknown, f"{kind.name}: execution_options names {sorted(unknown)}, no options"
    deciding = {
        name: value for name, value in options.items() if name not in kind.execution_options
    }
    return sha256_json(
        {"kind": kind.name, "options": deciding, "num_examples": request.num_examples}
    )


def full_identity(
    kind: AnyEvaluatorKind, request: Request, identity: Mapping[str, str]
) -> dict[str, str]:
    """Returns the identity of a built evaluation with its specification."""
    assert SPEC not in identity, f"{kind.name}: the identity may not name {SPEC!r}"
    assert "items" in identity, f"{kind.name}: the identity lacks the digest of its items"
    return {SPEC: spec_digest(kind, request), **identity}


def identity_digest(identity: Mapping[str, str]) -> str:
    """Returns the digest of all named digests of an identity."""
    return sha256_json(identity)


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Returns what differs between two identities, as text: "items and grader"."""
    names = {SPEC: "options or num_examples"}
    found = [
        names.get(name, name) for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)
    ]
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
