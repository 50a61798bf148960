"""Families about formatting text."""

import textwrap
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, sentence, word_list


def table(rng: Random) -> Draft:
    name = rng.choice(("format_table", "align_columns", "render_rows", "as_table"))
    between, fill = rng.choice((" | ", "  ", ", ", " : ")), rng.choice((" ", ".", "_"))
    alignments = [rng.choice("<>") for _ in range(3)]
    methods = ", ".join(repr(a) for a in alignments)
    solution = code(
        """
        def $f(rows):
            cells = [[str(x) for x in row] for row in rows]
            widths = [max(map(len, column)) for column in zip(*cells)]
            lines = []
            for row in cells:
                parts = []
                for text, width, side in zip(row, widths, ($methods)):
                    pad = $fill * (width - len(text))
                    parts.append(text + pad if side == "<" else pad + text)
                lines.append($between.join(parts))
            return "\\n".join(lines)
        """,
        f=name,
        methods=methods,
        fill=repr(fill),
        between=repr(between),
    )

    def oracle(rows: list[tuple[object, ...]]) -> str:
        widths = [max(len(str(row[i])) for row in rows) for i in range(3)] if rows else []
        shape = between.join(f"{{:{fill}{a}{w}}}" for a, w in zip(alignments, widths, strict=False))
        return "\n".join(shape.format(*map(str, row)) for row in rows)

    def rows(size: int) -> list[tuple[object, ...]]:
        return [(*word_list(rng, 2), rng.randint(0, 5000)) for _ in range(size)]

    sides = ["left" if a == "<" else "right" for a in alignments]
    return Draft(
        signature=f"{name}(rows)",
        task="formats a list of rows of three values as text, a line for each row",
        notes=[
            f"The columns are aligned to the {sides[0]}, {sides[1]} and {sides[2]}, each as wide "
            "as its longest value.",
            f"Values are padded with {fill!r} and joined by {between!r}.",
            "Lines are joined by newlines. Without rows the result is an empty string.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(rows(n),) for n in (1, 2, 3, 5)] + [([],)]),
        parameters={"between": between, "fill": fill, "sides": sides},
        difficulty=3,
    )


def grouped_digits(rng: Random) -> Draft:
    name = rng.choice(("group_digits", "pretty_number", "with_separators", "format_amount"))
    separator, size = rng.choice(("'", ",", ".", " ", "_")), rng.randint(2, 4)
    sign, unit = rng.choice(("-", "minus ", "()")), rng.choice(("", " EUR", " km", "%"))
    wrapped = 'f"({text})"' if sign == "()" else f'"{sign}" + text'
    solution = code(
        """
        def $f(n):
            digits = str(abs(n))
            groups = []
            while digits:
                groups.insert(0, digits[-$size:])
                digits = digits[:-$size]
            text = $separator.join(groups)
            if n < 0:
                text = $wrapped
            return text$unit
        """,
        f=name,
        size=size,
        separator=repr(separator),
        wrapped=wrapped,
        unit=f" + {unit!r}" if unit else "",
    )

    def oracle(n: int) -> str:
        text = ""
        for place, digit in enumerate(reversed(str(n).strip("-"))):
            text = digit + (separator if place and place % size == 0 else "") + text
        if n < 0:
            text = f"({text})" if sign == "()" else sign + text
        return text + unit

    numbers = [rng.randint(0, 10**k) for k in (2, 4, 6, 9)]
    negative = "in parentheses" if sign == "()" else f"with {sign!r} before it"
    return Draft(
        signature=f"{name}(n)",
        task=f"writes the whole number `n` with {separator!r} between groups of {size} digits, "
        "counted from the right",
        notes=[
            f"A negative number is written {negative}.",
            f"The text ends with {unit!r}." if unit else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(n,) for n in (*numbers, 0, -numbers[1], -1, 10**size, 10**size - 1)]),
        parameters={"separator": separator, "size": size, "sign": sign, "unit": unit},
        difficulty=2,
    )


def wrapped_text(rng: Random) -> Draft:
    name = rng.choice(("wrap", "break_lines", "fill_lines", "fold_text"))
    prefix, align = rng.choice(("", "> ", "# ", "- ")), rng.choice(("left", "right", "center"))
    method = {"left": "line", "right": "line.rjust(width)", "center": "line.center(width)"}[align]
    solution = code(
        """
        def $f(text, width):
            lines = []
            line = ""
            for word in text.split():
                if line and len(line) + 1 + len(word) > width:
                    lines.append(line)
                    line = word
                else:
                    line = f"{line} {word}" if line else word
            if line:
                lines.append(line)
            return [$result for line in lines]
        """,
        f=name,
        result=f"{prefix!r} + {method}" if prefix else method,
    )

    def oracle(text: str, width: int) -> list[str]:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        sign = {"left": "", "right": f">{width}", "center": f"^{width}"}[align]
        if align == "center":  # `format` puts an odd space on the other side
            return [prefix + line.center(width) for line in lines]
        return [prefix + format(line, sign) for line in lines]

    inputs = [(sentence(rng, n), rng.randint(10, 24)) for n in (4, 7, 10, 12)]
    return Draft(
        signature=f"{name}(text, width)",
        task="breaks `text` into lines of at most `width` characters, each with as many words as "
        "fit, and returns the list of the lines",
        notes=[
            "Words are separated by one space; a word that is longer than `width` has its own "
            "line.",
            "Lines are aligned to the right with spaces, to `width` characters."
            if align == "right"
            else "Each line is centered by `str.center(width)`."
            if align == "center"
            else "",
            f"Every line begins with {prefix!r}, which does not count." if prefix else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, ("", 10), ("extraordinarily long", 6)]),
        parameters={"prefix": prefix, "align": align},
        difficulty=3,
    )


def scaled_units(rng: Random) -> Draft:
    name = rng.choice(("human_size", "scale_units", "short_form", "abbreviate"))
    units, factor = rng.choice(
        (
            (("B", "KiB", "MiB", "GiB"), 1024),
            (("m", "km", "Mm"), 1000),
            (("g", "kg", "t"), 1000),
            (("s", "min", "h"), 60),
            (("", "K", "M", "B"), 1000),
        )
    )
    down, space = rng.random() < 0.5, rng.choice(("", " "))
    tenth = "value * 10 // size" if down else "(value * 20 + size) // (2 * size)"
    solution = code(
        """
        def $f(value):
            size = 1
            units = $units
            while len(units) > 1 and value >= size * $factor:
                size *= $factor
                units = units[1:]
            if size == 1:
                return f"{value}$space{units[0]}"
            whole, tenth = divmod($tenth, 10)
            return f"{whole}.{tenth}$space{units[0]}"
        """,
        f=name,
        units=list(units),
        factor=factor,
        space=space,
        tenth=tenth,
    )

    def oracle(value: int) -> str:
        k = max([k for k in range(len(units)) if value >= factor**k], default=0)
        if k == 0:
            return f"{value}{space}{units[0]}"
        ten = value * 10 // factor**k
        rest = value * 10 - ten * factor**k
        ten += 0 if down else rest * 2 >= factor**k
        return f"{str(ten)[:-1]}.{str(ten)[-1]}{space}{units[k]}"

    values = [rng.randint(1, factor**k) for k in (1, 2, 2, 3)]
    listed = ", ".join(repr(u) for u in units)
    return Draft(
        signature=f"{name}(value)",
        task=f"writes a whole number of {units[0] or 'items'} in the largest of the units "
        f"{listed} in which it is at least 1, where each unit is {factor} of the one before it",
        notes=[
            "In the first unit the number is written as it is, in the others with one decimal, "
            + ("cut off, not rounded." if down else "rounded; exact halves are rounded up."),
            f"There is {'a space' if space else 'nothing'} between the number and the unit.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(v,) for v in (*values, 0, 1, factor - 1, factor, factor**2 * 3 // 2)]),
        parameters={"units": list(units), "down": down, "space": space},
        difficulty=3,
    )


FAMILIES = (table, grouped_digits, wrapped_text, scaled_units)
