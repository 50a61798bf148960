"""Families about classes; their tests are scripts."""

import functools
from collections import OrderedDict
from collections.abc import Sequence
from random import Random

from codepretrain.data.synthetic.families.family import Draft, code


class _Stack:
    """Sorts to find an extreme."""

    def __init__(self, largest: bool, capacity: int | None) -> None:
        self.items: list[int] = []
        self.is_largest, self.capacity = largest, capacity

    def push(self, x: int) -> None:
        if self.capacity and len(self.items) >= self.capacity:
            raise ValueError
        self.items = [*self.items, x]

    def pop(self) -> int:
        last = self.items[-1]
        self.items = self.items[:-1]
        return last

    def extreme(self) -> int:
        return sorted(self.items)[-1 if self.is_largest else 0]

    def __len__(self) -> int:
        return len(self.items)


def _scripts(rng: Random, first: str, steps: Sequence[str]) -> list[list[str]]:
    """Returns three scripts of random steps; `{x}` in a step is a random number."""
    return [
        [first, *(rng.choice(steps).format(x=rng.randint(1, 30)) for _ in range(size))]
        for size in (4, 7, 11)
    ]


def tracking_stack(rng: Random) -> Draft:
    name = rng.choice(("TrackingStack", "StackWithExtreme", "WatchedStack"))
    largest, capacity = rng.random() < 0.5, rng.choice((None, 3, 4))
    method = rng.choice(("largest", "maximum", "top_value") if largest else ("smallest", "minimum"))
    best = "max" if largest else "min"
    guard = (
        f"\n        if len(self._items) == {capacity}:\n            raise ValueError('full')"
        if capacity
        else ""
    )
    solution = code(
        """
        class $f:
            def __init__(self):
                self._items = []

            def push(self, x):$guard
                best = $best(x, self._items[-1][1]) if self._items else x
                self._items.append((x, best))

            def pop(self):
                return self._items.pop()[0]

            def $method(self):
                return self._items[-1][1]

            def __len__(self):
                return len(self._items)
        """,
        f=name,
        best=best,
        method=method,
        guard=guard,
    )

    return Draft(
        signature=f"{name}()",
        task=f"is a stack of numbers with `push(x)`, `pop()`, which removes and returns the last "
        f"number, `{method}()`, which returns the {'largest' if largest else 'smallest'} number on "
        "it, and `len()`",
        notes=[
            f"`pop` and `{method}` of an empty stack raise an `IndexError`.",
            f"A stack holds {capacity} numbers; pushing another raises a `ValueError`."
            if capacity
            else "",
        ],
        solution=solution,
        oracle=functools.partial(
            type(name, (_Stack,), {method: _Stack.extreme}), largest, capacity
        ),
        tests=_stack_scripts(rng, name, method, capacity),
        parameters={"largest": largest, "capacity": capacity, "method": method},
        difficulty=3,
    )


def _stack_scripts(rng: Random, name: str, method: str, capacity: int | None) -> list[list[str]]:
    step = "stack.push({x})"
    tests = _scripts(rng, f"stack = {name}()", (step, step, "stack.pop()", f"stack.{method}()"))
    tests = [[*test, "len(stack)"] for test in tests]
    tests.append([f"stack = {name}()", "len(stack)", "stack.pop()"])
    low, read = rng.randint(5, 20), f"stack.{method}()"
    for others in ((low + 6, low + 2), (low - 3, low - 1)):  # the last number is never the extreme
        pushed = [f"stack.push({x})" for x in (low, *others)]
        tests.append([f"stack = {name}()", *pushed, read, "stack.pop()", read, "stack.pop()", read])
    if capacity:
        full = ["stack.push(1)"] * capacity
        tests.append([f"stack = {name}()", *full, "stack.push(2)", "len(stack)"])
    return tests


class _Cache:
    """An `OrderedDict`."""

    def __init__(self, capacity: int, by_use: bool, default: int) -> None:
        self.capacity, self.by_use, self.default = capacity, by_use, default
        self.values = OrderedDict[str, int]()

    def get(self, key: str) -> int:
        if key in self.values and self.by_use:
            self.values.move_to_end(key)
        return self.values.get(key, self.default)

    def put(self, key: str, value: int) -> None:
        self.values[key] = value
        if self.by_use:
            self.values.move_to_end(key)
        while len(self.values) > self.capacity:
            self.values.popitem(last=False)

    def keys(self) -> list[str]:
        return sorted(self.values)


def bounded_cache(rng: Random) -> Draft:
    name = rng.choice(("Cache", "RecentCache", "BoundedMap"))
    by_use, default = rng.random() < 0.6, rng.choice((-1, 0, 99))
    touch = "\n        self._values[key] = self._values.pop(key)" if by_use else ""
    drop = "\n        self._values.pop(key, None)" if by_use else ""
    solution = code(
        """
        class $f:
            def __init__(self, capacity):
                self._capacity = capacity
                self._values = {}

            def get(self, key):
                if key not in self._values:
                    return $default$touch
                return self._values[key]

            def put(self, key, value):$drop
                self._values[key] = value
                if len(self._values) > self._capacity:
                    del self._values[next(iter(self._values))]

            def keys(self):
                return sorted(self._values)
        """,
        f=name,
        default=default,
        touch=touch,
        drop=drop,
    )

    steps = [f"cache.put({key!r}, {{x}})" for key in "aabbcd"]
    steps += [f"cache.get({key!r})" for key in "abcd"]
    tests = _scripts(rng, f"cache = {name}({rng.randint(1, 3)})", steps)
    tests = [[*test, "cache.keys()"] for test in tests]
    tests.append([f"cache = {name}(2)", "cache.get('x')", "cache.keys()"])
    pair = [f"cache = {name}(2)", "cache.put('a', 1)", "cache.put('b', 2)"]
    third = ["cache.put('c', 4)", "cache.keys()", "cache.get('a')", "cache.get('b')"]
    tests += [[*pair, use, *third] for use in ("cache.get('a')", "cache.put('a', 3)")]
    rule = (
        "used least recently (by `get` or `put`)"
        if by_use
        else "added first (changing the value of a key does not count)"
    )
    return Draft(
        signature=f"{name}(capacity)",
        task=f"holds the values of at most `capacity` keys, with `get(key)`, which returns the "
        f"value or {default} if there is none, `put(key, value)`, and `keys()`, a sorted list",
        notes=[f"When there are too many keys, the one that was {rule} is removed."],
        solution=solution,
        oracle=functools.partial(_Cache, by_use=by_use, default=default),
        tests=tests,
        parameters={"by_use": by_use, "default": default},
        difficulty=4,
    )


class _Account:
    """A list of all entries."""

    def __init__(self, balance: int = 0, *, fee: int, limit: int, bonus: int, every: int) -> None:
        self.entries, self.deposits = [balance], 0
        self.fee, self.limit, self.bonus, self.every = fee, limit, bonus, every

    @property
    def balance(self) -> int:
        return sum(self.entries)

    def deposit(self, amount: int) -> None:
        if not amount > 0:
            raise ValueError
        self.deposits += 1
        self.entries += [amount, 0 if self.deposits % self.every else self.bonus]

    def withdraw(self, amount: int) -> bool:
        if amount + self.fee > self.balance + self.limit:
            return False
        self.entries += [-amount, -self.fee]
        return True


def _account_scripts(rng: Random, name: str, most: int, every: int) -> list[list[str]]:
    """Returns random scripts, and some at the borders of the rules.

    Args:
      most: what can be withdrawn from a balance of 20.
      every: so many deposits earn a bonus, if there is one.
    """
    steps = ("account.deposit({x})", "account.withdraw({x})")
    tests = _scripts(rng, f"account = {name}({rng.choice(('', 5, 20))})", steps)
    tests = [[*test, "account.balance"] for test in tests]
    first = f"account = {name}(20)"
    return [
        *tests,
        [f"account = {name}()", "account.deposit(0)", "account.balance"],
        [first, f"account.withdraw({most})", "account.balance", "account.withdraw(1)"],
        [first, f"account.withdraw({most + 1})", "account.balance"],
        [first, *["account.deposit(1)"] * every, "account.balance"],
    ]


def account(rng: Random) -> Draft:
    name = rng.choice(("Account", "Wallet", "PrepaidCard"))
    fee, limit, bonus = rng.randint(0, 3), rng.choice((0, 10, 50)), rng.choice((0, 0, 5))
    every = rng.randint(2, 4)
    reward = (
        f"\n        self._deposits += 1\n        if self._deposits % {every} == 0:"
        f"\n            self.balance += {bonus}"
        if bonus
        else ""
    )
    solution = code(
        """
        class $f:
            def __init__(self, balance=0):
                self.balance = balance$deposits

            def deposit(self, amount):
                if amount <= 0:
                    raise ValueError("amount must be positive")
                self.balance += amount$reward

            def withdraw(self, amount):
                cost = amount$fee
                if self.balance - cost < $lowest:
                    return False
                self.balance -= cost
                return True
        """,
        f=name,
        deposits="\n        self._deposits = 0" if bonus else "",
        reward=reward,
        fee=f" + {fee}" if fee else "",
        lowest=-limit,
    )

    return Draft(
        signature=f"{name}(balance=0)",
        task="has the attribute `balance` and the methods `deposit(amount)` and `withdraw(amount)`",
        notes=[
            f"`withdraw` also takes a fee of {fee}." if fee else "",
            f"It returns False and changes nothing if the balance would fall below {-limit}, else "
            "it returns True.",
            f"Every {every}{('nd', 'rd', 'th')[every - 2]} deposit earns a bonus of {bonus}."
            if bonus
            else "",
            "Depositing an amount that is not positive raises a `ValueError`.",
        ],
        solution=solution,
        oracle=functools.partial(_Account, fee=fee, limit=limit, bonus=bonus, every=every),
        tests=_account_scripts(rng, name, 20 + limit - fee, every),
        parameters={"fee": fee, "limit": limit, "bonus": bonus, "every": every if bonus else None},
        difficulty=2,
    )


FAMILIES = (tracking_stack, bounded_cache, account)
