"""The families: every reference solution agrees with an independent oracle."""

import collections
import functools

import numpy as np
import pytest

from codepretrain.data.synthetic.families import FAMILIES
from codepretrain.data.synthetic.families.build import build, expectation
from codepretrain.data.synthetic.families.family import Draft, calls, code
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.problem import Problem, Step, from_json
from tests.data.synthetic.mutants import is_caught, mutants
from tests.data.synthetic.running import failures


def test_there_are_at_least_forty_families_of_at_least_fifteen_themes() -> None:
    assert len(FAMILIES) >= 40
    assert len({family.__module__ for family in FAMILIES.values()}) >= 15


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_solution_passes_every_test(family: str) -> None:
    """In this process: our own code. `test_verify.py` runs them in the sandbox."""
    problems = _problems(family, 12)
    for problem in problems:
        assert failures(problem, problem.solution) == []
        assert len(problem.tests) >= 4
        assert 1 <= problem.difficulty <= 5
    assert len({problem.id for problem in problems}) == len(problems)
    assert len({problem.statement for problem in problems}) >= 10
    assert len({problem.solution for problem in problems}) >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_solutions_with_one_mistake_fail(family: str) -> None:
    """Some mutants are equivalent to the solution: a sieve that starts at 3, a condition twice."""
    caught, tried = _caught(family)
    assert caught >= 0.6 * tried, f"{caught} of {tried}"


def test_nearly_all_mistakes_are_caught() -> None:
    caught, tried = np.array([_caught(family) for family in FAMILIES]).sum(axis=0)
    assert caught >= 0.93 * tried, f"{caught} of {tried}"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_constant_result_passes(family: str) -> None:
    for problem in _problems(family, 3):
        checks = [step.check for test in problem.tests for step in test if step.check]
        values = {c.removeprefix("result == ").removeprefix("result is ") for c in checks}
        for value in sorted(values):
            assert is_caught(problem, f"def {problem.name}(*_, **__):\n    return {value}\n")


def test_problem_i_is_a_function_of_seed_and_index() -> None:
    first = [generate(3, i) for i in range(20)]
    assert [generate(3, i) for i in reversed(range(20))][::-1] == first
    assert [generate(4, i) for i in range(20)] != first


def test_every_family_comes_once_in_a_turn() -> None:
    counts = collections.Counter(generate(0, i).family for i in range(2 * len(FAMILIES)))
    assert counts == dict.fromkeys(FAMILIES, 2)


def test_problems_survive_json() -> None:
    for index in range(len(FAMILIES)):
        problem = generate(5, index)
        assert from_json(problem.to_json()).id == problem.id


def test_examples_are_fewer_than_tests() -> None:
    for index in range(200):
        problem = generate(6, index)
        steps = [test[-1].code for test in problem.tests if len(test) == 1]
        shown = [
            s for s in steps if f"`{s}`" in problem.statement or f"\n{s} ->" in problem.statement
        ]
        assert len(shown) < len(problem.tests)


def test_a_draft_becomes_a_problem_with_the_oracles_results() -> None:
    import random

    draft = Draft(
        signature="half(n)",
        task="halves `n`",
        solution=code("def $f(n):\n    return n / $k\n", f="half", k=2),
        oracle=lambda n: {}[n] if n == 9 else n * 0.5,
        tests=[*calls("half", [(1,), (9,)]), ["x = 4", "half(x)"]],
        notes=["It is small.", ""],
        properties=[("half(2)", "result < 2")],
        parameters={"k": 2},
        difficulty=1,
    )
    problem = build("halves", draft, random.Random(1))
    assert problem.tests == (
        (Step("half(1)", check="abs(result - 0.5) < 1e-9"),),
        (Step("half(9)", raises="KeyError"),),
        (Step("x = 4"), Step("half(x)", check="abs(result - 2.0) < 1e-9")),
        (Step("half(2)", check="result < 2"),),
    )
    assert (problem.name, problem.family, problem.parameters) == ("half", "halves", {"k": 2})
    assert "half(n)" in problem.statement
    assert "halves `n`" in problem.statement


def test_expectations() -> None:
    assert expectation(True) == "result is True"
    assert expectation([1, (2, "a")]) == "result == [1, (2, 'a')]"
    assert expectation(0.5) == "abs(result - 0.5) < 1e-9"


def _problems(family: str, count: int) -> list[Problem]:
    import random

    found = []
    for number in range(count):
        rng = random.Random(f"{family} {number}")
        found.append(build(family, FAMILIES[family](rng), rng))
    return found


@functools.cache
def _caught(family: str) -> tuple[int, int]:
    """Returns how many mutants of two problems fail their tests, and how many there are."""
    found = []
    for problem in _problems(family, 2):
        assert problem.solution is not None
        assert not is_caught(problem, problem.solution)
        found += [is_caught(problem, mutant) for mutant in mutants(problem.solution)]
    return sum(found), len(found)
