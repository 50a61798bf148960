"""Families about words."""

import itertools
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, sentence, word_list


def extreme_word(rng: Random) -> Draft:
    longest, last = rng.random() < 0.5, rng.random() < 0.5
    kind, tie = ("longest", "shortest")[not longest], ("first", "last")[last]
    name = f"{kind}_word"
    compare = (">", "<")[not longest] + ("=" if last else "")
    solution = code(
        """
        def $f(text):
            best = None
            for word in text.split():
                if best is None or len(word) $compare len(best):
                    best = word
            return best or ""
        """,
        f=name,
        compare=compare,
    )

    def oracle(text: str) -> str:
        words = text.split()[::-1] if last else text.split()
        return sorted(words, key=len, reverse=longest)[0] if words else ""

    return Draft(
        signature=f"{name}(text)",
        task=f"returns the {kind} word of `text`, where words are separated by white space",
        notes=[
            f"Of several {kind} words the {tie} counts.",
            "Without any word the result is an empty string.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(sentence(rng, n),) for n in (3, 5, 7)] + [("",), ("one two six",)]),
        parameters={"longest": longest, "last": last},
        difficulty=2,
    )


def word_case(rng: Random) -> Draft:
    name = rng.choice(("restyle", "alternate_words", "transform_words"))
    every = rng.randint(2, 4)
    change, method = rng.choice(
        (("in upper case", "w.upper()"), ("reversed", "w[::-1]"), ("in title case", "w.title()"))
    )
    offset = rng.randint(0, every - 1)
    solution = code(
        """
        def $f(text):
            words = text.split(" ")
            return " ".join(
                $change if i % $every == $offset else w for i, w in enumerate(words)
            )
        """,
        f=name,
        change=method,
        every=every,
        offset=offset,
    )
    function = {"i": str.upper, "r": lambda w: w[::-1]}.get(change[0], str.title)
    function = str.title if "title" in change else function

    def oracle(text: str) -> str:
        words = text.split(" ")
        words[offset::every] = [function(w) for w in words[offset::every]]
        return " ".join(words)

    first = ("first", "second", "third", "fourth")[offset]
    return Draft(
        signature=f"{name}(text)",
        task=f"returns `text` with some of its words {change}: the {first} word and every "
        f"{('second', 'third', 'fourth')[every - 2]} word after it",
        notes=["Words are separated by single spaces.", "The other words stay as they are."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(sentence(rng, n),) for n in (2, 5, 7, 8)] + [("",), ("solo",)]),
        parameters={"every": every, "offset": offset, "change": change},
        difficulty=2,
    )


def shared_affix(rng: Random) -> Draft:
    suffix = rng.random() < 0.5
    kind = "suffix" if suffix else "prefix"
    name = f"common_{kind}"
    maximum = rng.choice((None, 3, 5))
    cut = "" if maximum is None else f"[:{maximum}]"
    turn = "[::-1]" if suffix else ""
    solution = code(
        """
        def $f(words):
            if not words:
                return ""
            shared = ""
            for letters in zip(*$words):
                if len(set(letters)) > 1:
                    break
                shared += letters[0]
            return shared$cut$turn
        """,
        f=name,
        words=f"(w{turn} for w in words)" if suffix else "words",
        cut=cut,
        turn=turn,
    )

    def oracle(words: list[str]) -> str:
        turned = [w[::-1] if suffix else w for w in words]
        columns = zip(*turned, strict=False)
        letters = itertools.takewhile(lambda column: len({*column}) == 1, columns)
        shared = "".join(column[0] for column in letters)[:maximum]
        return shared[::-1] if suffix else shared

    stems = word_list(rng, 3)
    inputs = [
        ([f"{s}{e}" if not suffix else f"{e}{s}" for e in ("ing", "ed", "in")],) for s in stems
    ]
    notes = [f"An empty list has the {kind} ''."]
    if maximum:
        notes.append(f"At most {maximum} characters of it, those nearest to the common end, count.")
    return Draft(
        signature=f"{name}(words)",
        task=f"returns the longest {kind} that all strings of the list `words` share",
        notes=notes,
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, ([],), (["same", "same"],), (["x", "y"],), (["", "a"],)])
        + calls(name, [(["x"],), (["abcdefgxabcdefg", "abcdefgyabcdefg"],)]),
        parameters={"suffix": suffix, "maximum": maximum},
        difficulty=2,
    )


FAMILIES = (extreme_word, word_case, shared_affix)
