"""Typed fields: what is accepted, and how each error names file, field and value."""

from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.interop.json_fields import JsonFields


def fields(**values: Any) -> JsonFields:
    return JsonFields("/m/f.json", values)


def test_values_of_the_right_type() -> None:
    file = fields(n=3, x=2, flag=False, text="t", items=[{"a": 1}], inner={"deep": {"b": 0}})
    assert (file.whole("n"), file.number("x"), file.flag("flag")) == (3, 2.0, False)
    assert (file.text("text"), file.items("items")) == ("t", [{"a": 1}])
    assert file.objects("items")[0].whole("a") == 1
    assert file.object("inner").object("deep").whole("b", minimum=0) == 0
    assert file.whole("absent", default=7) == 7
    assert not file.is_set("absent")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.whole("absent"), "/m/f.json: absent is missing: expected a whole number, at"),
        (
            lambda f: f.whole("n", minimum=4),
            "/m/f.json: n: expected a whole number, at least 4, fo",
        ),
        (lambda f: f.number("text"), '/m/f.json: text: expected a positive number, found "t"'),
        (lambda f: f.flag("n"), "/m/f.json: n: expected true or false, found 3"),
        (lambda f: f.text("n"), "/m/f.json: n: expected text, found 3"),
        (lambda f: f.items("n"), "/m/f.json: n: expected a list, found 3"),
        (lambda f: f.object("items"), "/m/f.json: items: expected an object, found [1]"),
        (lambda f: f.objects("items"), "/m/f.json: items[0]: expected an object, found 1"),
        (lambda f: f.object("inner").text("deep"), "/m/f.json: inner.deep: expected text, found n"),
        (lambda f: f.text("long"), "found [[[[[[[["),
    ],
)
def test_errors(read: Any, message: str) -> None:
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested]
    file = fields(n=3, text="t", items=[1], inner={"deep": None}, long=nested)
    with pytest.raises(UserError) as error:
        read(file)
    assert message in str(error.value)
    assert len(str(error.value)) < 200
