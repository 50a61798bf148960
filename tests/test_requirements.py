"""The two locks, which `make test-parity` installs together."""

import re

from tests.conftest import ROOT

_PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def test_the_locks_agree() -> None:
    """`make lock` makes both: the second with the first as its constraint."""
    locks = ("requirements.lock", "requirements-parity.lock")
    main, parity = (dict(_PINNED.findall((ROOT / name).read_text())) for name in locks)
    shared = main.keys() & parity.keys()
    assert {"jax", "numpy"} <= shared
    assert {name: parity[name] for name in shared} == {name: main[name] for name in shared}
