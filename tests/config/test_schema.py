"""The schema itself: frozen, by keyword, and with defaults that its own rules accept."""

import dataclasses

import pytest

from codepretrain.config import schema
from codepretrain.config.values import check_values, leaves
from tests.configs import small_study

CLASSES = [c for c in vars(schema).values() if isinstance(c, type) and dataclasses.is_dataclass(c)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_dataclasses_are_frozen_documented_and_by_keyword(cls: type) -> None:
    assert vars(cls)["__dataclass_params__"].frozen
    assert all(field.kw_only for field in dataclasses.fields(cls))
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")  # what dataclasses write themselves


def test_the_defaults_are_valid() -> None:
    check_values(small_study())


def test_units_are_in_the_names() -> None:
    for _, pattern, value in leaves(small_study()):
        name = pattern.rsplit(".", 1)[-1]
        if "interval" in name:
            assert name.endswith(("_s", "_steps")), pattern
        if name.startswith("num_") or name.endswith(("_steps", "_tokens", "_bytes")):
            assert value is None or isinstance(value, int), pattern
