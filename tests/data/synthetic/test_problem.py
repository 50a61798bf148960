"""Problems as JSON: what is refused, by name."""

from typing import Any

import pytest

from codepretrain.data.synthetic.problem import Problem, Step, from_json
from codepretrain.errors import UserError

PROBLEM: dict[str, Any] = {
    "statement": "Add.",
    "name": "add",
    "tests": [[{"code": "add(1, 2)", "check": "result == 3"}]],
}


def test_a_problem_from_json() -> None:
    problem = from_json({**PROBLEM, "parameters": {"a": [1, {"b": 2}]}})
    assert problem == Problem(
        statement="Add.",
        name="add",
        tests=((Step("add(1, 2)", check="result == 3"),),),
        parameters={"a": [1, {"b": 2}]},
    )
    assert from_json(problem.to_json()) == problem


def test_the_id_depends_on_all_but_the_solution() -> None:
    problem = from_json(PROBLEM)
    assert problem.id.startswith("custom/")
    assert from_json({**PROBLEM, "solution": "def add(a, b): ..."}).id == problem.id
    assert from_json({**PROBLEM, "statement": "Sum."}).id != problem.id
    assert from_json({**PROBLEM, "parameters": {"a": 1}}).id != problem.id


def test_the_group_does_not_depend_on_the_wording() -> None:
    first, second = from_json(PROBLEM), from_json({**PROBLEM, "statement": "Sum."})
    assert first.group == first.id != second.group
    groups = {
        from_json({**PROBLEM, "statement": text, "parameters": {"a": a}}).group
        for text in ("Add.", "Sum.")
        for a in (1, 2)
    }
    assert len(groups) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "no name"}, r"problem.name: expected the name of a function .*'no name'"),
        ({"tests": []}, "problem.tests: expected a step with `check`, found none"),
        ({"tests": [[{"code": "add(1, 2)"}]]}, "expected a step with `check`, found none"),
        ({"tests": [[{"code": "add(1)", "raises": "TypeError"}]]}, "with `check`, found none"),
        ({"tests": [[{"code": "assert add(1, 2) == 3"}]]}, "step 0: an `assert`.*use `check`"),
        ({"tests": [[{"code": "x = add(1, 2) == 3"}]]}, "step 0: .*use `check`"),
        ({"tests": [[{"code": "if 1:\n  x = 2\n  assert x"}]]}, "step 0: an `assert`"),
        ({"tests": [[{"code": "add(1, 2) == 3", "check": "result"}]]}, "step 0: .*use `check`"),
        ({"tests": [[{"code": "not add(1, -1)", "check": "result"}]]}, "step 0: .*use `check`"),
        ({"tests": [[{"code": "all([add(1, 2)])", "check": "result"}]]}, "step 0: .*use `check`"),
        ({"tests": [[{"code": "isinstance(add(1, 2), int)", "check": "result"}]]}, "use `check`"),
        ({"tests": [[{"code": "add(1, 1) and 2", "check": "result is 2"}]]}, "use `check`"),
        ({"statement": "a\0b"}, "problem.statement: contains a NUL character"),
        ({"tests": [[{"code": "x = 1", "check": "result"}]]}, "step 0 is not an expression: 'x"),
        ({"tests": [[{"code": "x ="}]]}, "step 0 is not Python: 'x ='"),
        ({"tests": [[{"code": "1", "check": "True"}]]}, "expected an expression of `result`"),
        ({"tests": [[{"code": "1", "check": "result", "raises": "E"}]]}, "both `check` and"),
        ({"tests": [[{"code": "1", "raises": "a.b"}]]}, "expected the name of an exception: 'a.b'"),
        ({"tests": [[{"code": "1"}] * 10_001]}, "at most 10,000 steps, found 10,001"),
        ({"tests": [[{"kode": "1"}]]}, r"tests\[0\]\[0\].kode: no such field; did you mean code"),
        ({"parameters": 3}, "problem.parameters: expected an object"),
        ({"statement": 3}, "problem.statement: expected text"),
        ({"extra": 3}, "problem.extra: no such field"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_json({**PROBLEM, **change})


@pytest.mark.parametrize("code", ["add(1 == 2, 3)", "[add(x, x) for x in (1, 2) if x > 1]"])
def test_comparisons_within_a_step_are_accepted(code: str) -> None:
    from_json({**PROBLEM, "tests": [[{"code": code, "check": "result == 3"}]]})


@pytest.mark.parametrize("value", [[], None, "text", 3])
def test_a_problem_is_an_object(value: object) -> None:
    with pytest.raises(UserError, match=r"problem: expected the fields of"):
        from_json(value)
