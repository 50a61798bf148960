"""Families about orders of records and words. Composed at random, so most drafts differ."""

import itertools
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints, word_list


def sorted_records(rng: Random) -> Draft:
    """Random keys, each ascending or descending."""
    name = rng.choice(("sort_records", "ranked", "ordered", "arrange"))
    keys = [
        ("their first item", "r[0]", lambda r: r[0]),
        ("their second item", "r[1]", lambda r: r[1]),
        ("the length of their first item", "len(r[0])", lambda r: len(r[0])),
        ("their last digit of the second item", "r[1] % 10", lambda r: int(str(r[1])[-1])),
        ("the last character of their first item", "r[0][-1]", lambda r: r[0][-1:]),
    ]
    chosen = rng.sample(keys, rng.randint(2, 3))
    descending = [rng.random() < 0.5 for _ in chosen]
    limit = rng.choice((None, None, 2, 3))
    lines = [
        f"    result.sort(key=lambda r: {expression}{', reverse=True' * down})\n"
        for (_, expression, _), down in reversed(list(zip(chosen, descending, strict=True)))
    ]
    end = "result" if limit is None else f"result[:{limit}]"
    solution = (
        f"def {name}(records):\n    result = list(records)\n{''.join(lines)}    return {end}\n"
    )

    def before(a: tuple[str, int], b: tuple[str, int]) -> bool:
        for (_, _, key), down in zip(chosen, descending, strict=True):
            if key(a) != key(b):
                return (key(a) > key(b)) == down
        return False

    def oracle(records: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Inserts one after another, behind its equals."""
        ordered: list[tuple[str, int]] = []
        for record in records:
            place = sum(not before(record, other) for other in ordered)
            ordered.insert(place, record)
        return ordered[:limit]

    def records(size: int) -> list[tuple[str, int]]:
        return list(zip(word_list(rng, size), ints(rng, size, 0, 30), strict=True))

    texts = [
        f"{text} ({'descending' if down else 'ascending'})"
        for (text, _, _), down in zip(chosen, descending, strict=True)
    ]
    return Draft(
        signature=f"{name}(records)",
        task=f"returns a list of the pairs (string, whole number) in `records`, sorted by "
        f"{', then by '.join(texts)}",
        notes=[
            "Pairs that are equal in all of this keep their order. The given list is not changed.",
            f"Only the first {limit} pairs are returned." if limit else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(records(n),) for n in (2, 4, 6)] + [([],)])
        + calls(name, [(_ties(rng, n),) for n in (4, 4, 6, 8, 10)]),
        parameters={"keys": texts, "limit": limit},
        difficulty=3,
    )


def _ties(rng: Random, size: int) -> list[tuple[str, int]]:
    """Returns pairs of which many agree in one item."""
    firsts = rng.choices(("ab", "ba", "bb", "aab", "b"), k=size)
    return list(zip(firsts, rng.choices((2, 12, 21, 3), k=size), strict=True))


def letter_order(rng: Random) -> Draft:
    name = rng.choice(("sort_by_alphabet", "in_order", "custom_sort", "foreign_sort"))
    letters = "".join(rng.sample("abcdefgh", rng.randint(4, 6)))
    longest = rng.random() < 0.4
    head = "-len(word), " if longest else ""
    solution = code(
        """
        def $f(words):
            rank = {letter: i for i, letter in enumerate($letters)}
            return sorted(words, key=lambda word: ($head[rank[c] for c in word]))
        """,
        f=name,
        letters=repr(letters),
        head=head,
    )

    def oracle(words: list[str]) -> list[str]:
        size = max(map(len, words), default=0)
        possible = (
            "".join(chosen)
            for n in (range(size, -1, -1) if longest else range(size + 1))
            for chosen in itertools.product(letters, repeat=n)
        )
        places = {word: i for i, word in enumerate(possible)}
        if longest:
            return sorted(words, key=places.__getitem__)
        table = str.maketrans(letters, "".join(map(str, range(len(letters)))))
        return sorted(words, key=lambda word: word.translate(table))

    def words(size: int) -> list[str]:
        return ["".join(rng.choices(letters, k=rng.randint(1, 4))) for _ in range(size)]

    return Draft(
        signature=f"{name}(words)",
        task="sorts a list of words by the alphabet " + " < ".join(letters),
        notes=[
            "The words consist of these letters only. A word comes before its extensions.",
            "Longer words come first; only words of equal length are compared by letters."
            if longest
            else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(words(n),) for n in (3, 5, 8)] + [([],), ([letters[1], letters[0]],)]),
        parameters={"letters": letters, "longest": longest},
        difficulty=3,
    )


FAMILIES = (sorted_records, letter_order)
