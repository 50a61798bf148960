"""Families about simulation: machines that take one step after another."""

import functools
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints


def automaton(rng: Random) -> Draft:
    name = rng.choice(("evolve", "automaton", "next_rows", "run_cells"))
    rule, on, off = (
        rng.randint(1, 254),
        *rng.choice((("#", "."), ("1", "0"), ("*", " "), ("X", "-"))),
    )
    wraps = rng.random() < 0.5
    solution = code(
        """
        def $f(cells, steps):
            row = [int(c == "$on") for c in cells]
            n = len(row)
            for _ in range(steps):
                padded = $padded
                row = [
                    $rule >> (4 * padded[i] + 2 * padded[i + 1] + padded[i + 2]) & 1
                    for i in range(n)
                ]
            return "".join("$on" if x else "$off" for x in row)
        """,
        f=name,
        rule=rule,
        on=on,
        off=off,
        padded="[row[-1], *row, row[0]]" if wraps else "[0, *row, 0]",
    )
    table = {f"{k:03b}": str(rule // 2**k % 2) for k in range(8)}

    def oracle(cells: str, steps: int) -> str:
        text = cells.replace(off, "0").replace(on, "1")
        for _ in range(steps):
            around = text[-1] + text + text[0] if wraps else f"0{text}0"
            text = "".join(table[around[i : i + 3]] for i in range(len(text)))
        return text.replace("0", "\0").replace("1", on).replace("\0", off)

    def row(size: int) -> str:
        return "".join(rng.choice((on, off)) for _ in range(size))

    border = "The row is a ring." if wraps else "Beyond the ends all cells are off."
    listed = ", ".join(f"{key} -> {value}" for key, value in table.items())
    return Draft(
        signature=f"{name}(cells, steps)",
        task=f"returns the row `cells` after `steps` steps, where {on!r} is a cell that is on and "
        f"{off!r} one that is off",
        notes=[
            "In a step every cell changes at once, according to itself and its two neighbors.",
            f"With 1 for on and 0 for off, left, self and right decide: {listed}.",
            border,
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(row(n), rng.randint(1, 6)) for n in (5, 8, 12, 15)])
        + calls(name, [(on, 1), (row(6), 0)]),
        parameters={"rule": rule, "symbols": on + off, "wraps": wraps},
        difficulty=3,
    )


def robot(rng: Random) -> Draft:
    name = rng.choice(("walk", "final_position", "drive", "follow_commands"))
    forward, left, right, back = rng.choice(("FLRB", "^<>v", "wadx", "GLRU"))
    size = rng.choice((None, 5, 8, 10))
    solution = code(
        """
        def $f(commands):
            x, y, dx, dy = 0, 0, 0, 1
            for command in commands:
                if command == "$left":
                    dx, dy = -dy, dx
                elif command == "$right":
                    dx, dy = dy, -dx
                elif command == "$forward":
                    x, y = x + dx, y + dy
                elif command == "$back":
                    x, y = x - dx, y - dy
                else:
                    raise ValueError(command)
            return $result
        """,
        f=name,
        forward=forward,
        left=left,
        right=right,
        back=back,
        result=f"x % {size}, y % {size}" if size else "x, y",
    )

    def oracle(commands: str) -> tuple[int, int]:
        place, heading = 0j, 1j
        for command in commands:
            if command not in (forward, left, right, back):
                raise ValueError
            heading *= {left: 1j, right: -1j}.get(command, 1)
            place += {forward: heading, back: -heading}.get(command, 0)
        x, y = int(place.real), int(place.imag)
        return (x % size, y % size) if size else (x, y)

    texts = ["".join(rng.choices((forward, left, right, back), k=n)) for n in (4, 7, 12, 20)]
    texts += ["", forward * 12, f"{forward}?", left + forward * 3, right + forward * 2, back * 2]
    texts += [left * 2 + forward * 3, right + back * 14]
    return Draft(
        signature=f"{name}(commands)",
        task="returns the final position (x, y) of a robot that starts at (0, 0), facing up "
        "(toward larger y)",
        notes=[
            f"In the string `commands`, {forward!r} moves it one step forward, {back!r} one step "
            f"backward, {left!r} turns it left and {right!r} right by 90 degrees.",
            f"The plane is a torus: x and y are taken modulo {size}." if size else "",
            "Any other character is a `ValueError`.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in texts]),
        parameters={"commands": forward + left + right + back, "size": size},
        difficulty=2,
    )


def _texts_to_states(
    table: dict[tuple[str, str], str], start: str, letters: list[str]
) -> list[str]:
    """Returns a text for every rule that can be applied: it leads to the state and applies it."""
    reached = {start: ""}
    while new := {
        table[state, c]: text + c
        for state, text in reached.items()
        for c in letters
        if table[state, c] not in reached
    }:
        reached |= new
    return [text + c for text in reached.values() for c in letters]


def state_machine(rng: Random) -> Draft:
    """A random table: nearly all drafts differ."""
    name = rng.choice(("run_machine", "accepts", "final_state", "follow"))
    states = rng.sample(
        ("idle", "open", "busy", "done", "locked", "ready", "wait"), rng.randint(3, 4)
    )
    letters = sorted(rng.sample("abcxyz01", 2))
    table = {(s, c): rng.choice(states) for s in states for c in letters}
    start, accepting = states[0], sorted(rng.sample(states, 2))
    accepts = name == "accepts"
    lines = []
    for state in states:
        moves = ", ".join(f"{c!r}: {table[state, c]!r}" for c in letters)
        lines.append(f"        {state!r}: {{{moves}}},")
    end = f"state in {tuple(accepting)!r}" if accepts else "state"
    solution = (
        f"def {name}(text):\n    table = {{\n"
        + "\n".join(lines)
        + f"\n    }}\n    state = {start!r}\n"
        f"    for c in text:\n        state = table[state].get(c, state)\n    return {end}\n"
    )

    def oracle(text: str) -> str | bool:
        state = functools.reduce(lambda s, c: table[s, c] if c in letters else s, text, start)
        return state in accepting if accepts else state

    rules = "; ".join(
        f"in {s!r}, {letters[0]!r} leads to {table[s, letters[0]]!r} and {letters[1]!r} to "
        f"{table[s, letters[1]]!r}"
        for s in states
    )
    goal = (
        f"returns whether the machine is in {accepting[0]!r} or {accepting[1]!r} after it has read "
        "`text`"
        if accepts
        else "returns the state of a machine after it has read `text`"
    )
    texts = ["".join(rng.choices([*letters, "?"], weights=(4, 4, 1), k=n)) for n in (3, 9, 16)]
    texts += _texts_to_states(table, start, letters)
    return Draft(
        signature=f"{name}(text)",
        task=goal,
        notes=[
            f"It starts in {start!r}.",
            f"Rules: {rules}.",
            "Any other character leaves the state as it is.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in (*texts, "")]),
        parameters={"table": [[*key, to] for key, to in table.items()], "accepts": accepts},
        difficulty=3,
    )


_FINISHED = "returns the list of the minutes at which the customers are finished"
_TIMES = {
    "finish_times": _FINISHED,
    "serve": _FINISHED,
    "waiting_times": "returns the list of the minutes that the customers wait",
    "total_wait": "returns how many minutes the customers wait in all",
}


def queue_times(rng: Random) -> Draft:
    name = rng.choice(tuple(_TIMES))
    desks, pause = rng.randint(1, 3), rng.randint(0, 3)
    waits = name in ("waiting_times", "total_wait")
    item = "begin - arrival" if waits else "begin + duration"
    solution = code(
        """
        def $f(customers):
            free = [0] * $desks
            times = []
            for arrival, duration in customers:
                desk = free.index(min(free))
                begin = max(arrival, free[desk])
                times.append($item)
                free[desk] = begin + duration$pause
            return $result
        """,
        f=name,
        desks=desks,
        item=item,
        pause=f" + {pause}" if pause else "",
        result="sum(times)" if name == "total_wait" else "times",
    )

    def oracle(customers: list[tuple[int, int]]) -> list[int] | int:
        """Minute by minute."""
        ready, times = [0] * desks, []
        for arrival, duration in customers:
            now = arrival
            while all(t > now for t in ready):
                now += 1
            desk = min(range(desks), key=lambda d: (ready[d], d))
            ready[desk] = now + duration + pause
            times.append(now - arrival if waits else now + duration)
        return sum(times) if name == "total_wait" else times

    def customers(size: int) -> list[tuple[int, int]]:
        arrivals = sorted(ints(rng, size, 0, 20))
        return [(arrival, rng.randint(1, 9)) for arrival in arrivals]

    what = _TIMES[name]
    return Draft(
        signature=f"{name}(customers)",
        task=f"{what}, where each of `customers` is a pair (arrival, duration) and they are served "
        "in this order",
        notes=[
            f"There {'are' if desks > 1 else 'is'} {desks} desk{'s' * (desks > 1)}; a customer "
            "goes to the one that is free first.",
            f"After each customer a desk is closed for {pause} minutes." if pause else "",
            "All times are whole minutes, and arrivals are in ascending order.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(customers(n),) for n in (3, 5, 7, 9)] + [([],), ([(4, 2)],)])
        + calls(name, [([(0, 3), (0, 2), (0, 4), (0, 1)],)]),
        parameters={"desks": desks, "pause": pause, "name": name},
        difficulty=3,
    )


FAMILIES = (automaton, robot, state_machine, queue_times)
