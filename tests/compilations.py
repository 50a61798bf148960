"""Counts the compilations of a jitted function."""

from typing import Any


def num_compilations(jitted: Any) -> int:
    """Returns how many versions of a function JAX has compiled; its types do not declare this."""
    return jitted._cache_size()
