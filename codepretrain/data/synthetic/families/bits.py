"""Families about bits."""

from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints


def bit_fields(rng: Random) -> Draft:
    """Random layouts: nearly all drafts differ."""
    names = rng.sample(("red", "green", "blue", "alpha", "kind", "flag", "size", "mode"), 3)
    widths = [rng.randint(1, 8) for _ in names]
    packs = rng.random() < 0.5
    function = f"{'pack' if packs else 'unpack'}_{rng.choice(('fields', 'bits', 'word', 'record'))}"
    shifts = [sum(widths[i + 1 :]) for i in range(3)]
    signature = f"{function}({', '.join(names)})" if packs else f"{function}(word)"
    if packs:
        checks = "".join(
            f"    if not 0 <= {n} < {2**w}:\n        raise ValueError({n!r})\n"
            for n, w in zip(names, widths, strict=True)
        )
        word = " | ".join(f"{n} << {s}" if s else n for n, s in zip(names, shifts, strict=True))
        body = f"{checks}    return {word}\n"
    else:
        parts = [f"word >> {s} & {2**w - 1}" for w, s in zip(widths, shifts, strict=True)]
        items = ", ".join(f"{n!r}: {p}" for n, p in zip(names, parts, strict=True))
        body = f"    return {{{items}}}\n"

    def pack(*values: int) -> int:
        if any(v < 0 or v >= 2**w for v, w in zip(values, widths, strict=True)):
            raise ValueError
        digits = [format(v, f"0{w}b") for v, w in zip(values, widths, strict=True)]
        return int("".join(digits), 2)

    def unpack(word: int) -> dict[str, int]:
        digits = format(word, "b").zfill(sum(widths))
        ends = [len(digits) - s for s in shifts]
        cuts = zip(names, widths, ends, strict=True)
        return {n: int(digits[end - w : end], 2) for n, w, end in cuts}

    values = [tuple(rng.randrange(2**w) for w in widths) for _ in range(4)]
    full = tuple(2**w - 1 for w in widths)
    outside = [
        tuple(value if place == i else 0 for place in range(3))
        for i, width in enumerate(widths)
        for value in (2**width, -1)
    ]
    inputs = [*values, full, (0, 0, 0), *outside]
    if not packs:
        inputs = [(pack(*v),) for v in (*values, full, (0, 0, 0), (0, 0, 1))]
    layout = ", ".join(f"{n} ({w})" for n, w in zip(names, widths, strict=True))
    return Draft(
        signature=signature,
        task="packs three fields into one whole number"
        if packs
        else "unpacks three fields from a whole number and returns them as a dictionary",
        notes=[
            f"The fields with their widths in bits, from the highest bit to the lowest: {layout}.",
            "Raise a `ValueError` if a value does not fit into its field." if packs else "",
        ],
        solution=f"def {signature}:\n{body}",
        oracle=pack if packs else unpack,
        tests=calls(function, inputs),
        parameters={"names": names, "widths": widths, "packs": packs},
        difficulty=2,
    )


def swapped_bits(rng: Random) -> Draft:
    name = rng.choice(("reorder_bits", "shuffle_bits", "mangle", "move_bits"))
    width = rng.choice((4, 8, 12, 16))
    kind = rng.choice(("reverse", "rotate left", "rotate right", "swap halves", "Gray code"))
    k, mask, top = rng.randint(1, width - 1), 2**width - 1, width - 1
    expression = {
        "reverse": f'int(format(n, "0{width}b")[::-1], 2)',
        "rotate left": f"(n << {k} | n >> {width - k}) & {mask}",
        "rotate right": f"(n >> {k} | n << {width - k}) & {mask}",
        "swap halves": f"(n >> {width // 2} | n << {width // 2}) & {mask}",
        "Gray code": "n ^ n >> 1",
    }[kind]
    inverts = rng.random() < 0.3

    def oracle(n: int) -> int:
        bits = [n >> i & 1 for i in range(width)]  # the lowest first
        places = {
            "reverse": lambda i: bits[top - i],
            "rotate left": lambda i: bits[(i - k) % width],
            "rotate right": lambda i: bits[(i + k) % width],
            "swap halves": lambda i: bits[(i + width // 2) % width],
            "Gray code": lambda i: (bits[i] + (bits[i + 1] if i < top else 0)) % 2,
        }
        return sum((places[kind](i) ^ inverts) << i for i in range(width))

    what = {
        "reverse": "with its bits in reverse order",
        "rotate left": f"with its bits rotated {k} to the left",
        "rotate right": f"with its bits rotated {k} to the right",
        "swap halves": f"with its upper and its lower {width // 2} bits swapped",
        "Gray code": "as Gray code: each bit is combined by exclusive or with the next higher one",
    }[kind]
    result = f"{mask} ^ ({expression})" if inverts else expression
    return Draft(
        signature=f"{name}(n)",
        task=f"returns the {width}-bit number `n` {what}",
        notes=[
            f"`n` is between 0 and {mask}, and so is the result.",
            "Finally all bits are inverted." if inverts else "",
        ],
        solution=f"def {name}(n):\n    return {result}\n",
        oracle=oracle,
        tests=calls(name, [(rng.randint(0, mask),) for _ in range(5)] + [(0,), (mask,), (1,)]),
        parameters={"width": width, "kind": kind, "k": k, "inverts": inverts},
        difficulty=2,
    )


def checksum(rng: Random) -> Draft:
    """Random constants: nearly all drafts differ."""
    name = rng.choice(("checksum", "hash_bytes", "fingerprint", "digest"))
    start, factor, width = rng.randint(0, 255), rng.choice((3, 5, 31, 33, 131)), rng.choice((8, 16))
    turn = rng.randint(1, width - 1)
    mask = 2**width - 1
    solution = code(
        """
        def $f(data):
            value = $start
            for byte in data:
                value = (value << $turn | value >> $back) & $mask
                value = (value ^ byte) * $factor & $mask
            return value
        """,
        f=name,
        start=start,
        turn=turn,
        back=width - turn,
        mask=hex(mask),
        factor=factor,
    )

    def oracle(data: list[int]) -> int:
        value = start
        for byte in data:
            high, low = divmod(value * 2**turn, 2**width)
            value = (high + low) % 2**width
            value = (value + byte - 2 * (value & byte)) * factor % 2**width
        return value

    inputs = [(ints(rng, n, 0, 255),) for n in (1, 3, 6, 10)] + [([],), ([0, 0],), ([255] * 3,)]
    return Draft(
        signature=f"{name}(data)",
        task=f"returns the {width}-bit checksum of the list of bytes `data`",
        notes=[
            f"The checksum starts as {start}.",
            f"For every byte it is rotated {turn} bits to the left, then combined with the byte by "
            f"exclusive or, then multiplied by {factor}; only the lowest {width} bits are kept.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"start": start, "factor": factor, "width": width, "turn": turn},
        difficulty=3,
    )


FAMILIES = (bit_fields, swapped_bits, checksum)
