"""A family of classes with random moduli and operators: most drafts differ."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft


def _oracle(name: str, modulus: int, operators: Sequence[str]) -> type:
    """Returns a class whose operators are sums."""

    def create(self: Any, value: int) -> None:
        self.value = value - value // modulus * modulus

    def method(kind: str) -> Callable[..., Any]:
        def apply(self: Any, other: Any = None) -> Any:
            x, y = self.value, getattr(other, "value", other)
            table: dict[str, Callable[[], int]] = {
                "add": lambda: sum((x, y)),
                "sub": lambda: x + (modulus - y),
                "mul": lambda: sum([x] * y),
                "neg": lambda: modulus - x,
                "pow": lambda: pow(x, y, modulus),
            }
            return type(self)(table[kind]())

        return apply

    methods = {f"__{kind}__": method(kind) for kind in operators}
    spell = {"__repr__": lambda self: f"{name}({self.value})"}
    return type(name, (), {"__init__": create, **spell, **methods})


def modular_number(rng: Random) -> Draft:
    """Random moduli and operators: most drafts differ."""
    name = rng.choice(("Residue", "Mod", "ClockNumber", "Wrapped"))
    modulus = rng.randint(5, 60)
    chosen = rng.sample(("add", "sub", "mul", "neg", "pow"), rng.randint(2, 4))
    signs = {"add": "+", "sub": "-", "mul": "*", "pow": "**"}
    methods = "".join(
        f"\n    def __neg__(self):\n        return {name}(-self.value)\n"
        if kind == "neg"
        else f"\n    def __{kind}__(self, other):\n        return {name}(self.value {signs[kind]} "
        f"{'other' if kind == 'pow' else 'other.value'})\n"
        for kind in chosen
    )
    solution = (
        f"class {name}:\n    def __init__(self, value):\n        self.value = value % {modulus}\n"
        f"{methods}\n    def __repr__(self):\n        return f'{name}({{self.value}})'\n"
    )

    oracle = _oracle(name, modulus, chosen)
    tests = [f"repr({name}({rng.randint(-99, 99)}))", f"{name}({modulus}).value"]
    for kind in chosen * 2:
        a, b = rng.randint(0, 99), rng.randint(0, 20)
        right = str(b) if kind == "pow" else f"{name}({b})"
        tests.append(
            f"repr(-{name}({a}))" if kind == "neg" else f"({name}({a}) {signs[kind]} {right}).value"
        )
    operators = ", ".join("unary -" if kind == "neg" else signs[kind] for kind in sorted(chosen))
    return Draft(
        signature=f"{name}(value)",
        task=f"is a whole number modulo {modulus}, with the attribute `value` (0 to {modulus - 1}) "
        f"and the operators {operators}",
        notes=[
            f"Its `repr` is as in `{name}(3)`.",
            "The exponent of ** is an `int` that is not negative; other operands are of this class."
            if "pow" in chosen
            else "Both operands are of this class.",
        ],
        solution=solution,
        oracle=oracle,
        tests=tests,
        parameters={"modulus": modulus, "operators": sorted(chosen)},
        difficulty=2,
    )


FAMILIES = (modular_number,)
