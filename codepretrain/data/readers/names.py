"""Options that list names, as text: `a, b`."""

import functools

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError


@functools.cache  # it is called for every document
def listed(text: str, *, reader: str, option: str, valid: tuple[str, ...]) -> frozenset[str]:
    """Returns the names that an option lists, separated by commas.

    Raises:
      UserError: a name is not valid.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in valid:
            near = suggestion(name, list(valid))
            raise UserError(f"reader {reader!r}: {option}: there is no {name!r}{near}")
    return frozenset(names)
