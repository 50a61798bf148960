"""Families about strings."""

import itertools
import re
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, sentence


def run_lengths(rng: Random) -> Draft:
    name = rng.choice(("run_lengths", "encode_runs", "compress_runs", "count_runs"))
    minimum = rng.randint(1, 4)
    solution = code(
        """
        def $f(text):
            runs = []
            start = 0
            for i in range(1, len(text) + 1):
                if i == len(text) or text[i] != text[start]:
                    if i - start >= $minimum:
                        runs.append((text[start], i - start))
                    start = i
            return runs
        """,
        f=name,
        minimum=minimum,
    )
    inputs = [("".join(c * rng.randint(1, 5) for c in rng.choices("abxyz", k=n)),) for n in (4, 6)]
    note = (
        "Consecutive equal characters form a run."
        if minimum == 1
        else f"Runs of fewer than {minimum} characters are left out."
    )
    return Draft(
        signature=f"{name}(text)",
        task="returns the runs of equal characters of `text` as a list of pairs "
        "(character, length), from left to right",
        notes=[note],
        solution=solution,
        oracle=lambda text: [
            (key, size)
            for key, group in itertools.groupby(text)
            if (size := len(list(group))) >= minimum
        ],
        tests=calls(name, [*inputs, ("",), ("aaabbb",), ("abc",), ("zzzzz",)])
        + calls(name, [("a" + "b" * minimum,), (f"x{'y' * (minimum - 1)}xz",)]),
        parameters={"minimum": minimum},
        difficulty=2,
    )


def caesar(rng: Random) -> Draft:
    name = rng.choice(("shift_letters", "caesar", "rotate_alphabet", "encipher"))
    shift, digits = rng.choice((1, 3, 5, 7, 11, 13, 19)), rng.choice((0, 1, 3, 7))
    branch = f"""
        elif "0" <= c <= "9":
            result.append(chr((ord(c) - 48 + {digits}) % 10 + 48))"""
    solution = code(
        """
        def $f(text):
            result = []
            for c in text:
                if "a" <= c <= "z":
                    result.append(chr((ord(c) - 97 + $shift) % 26 + 97))
                elif "A" <= c <= "Z":
                    result.append(chr((ord(c) - 65 + $shift) % 26 + 65))$digits
                else:
                    result.append(c)
            return "".join(result)
        """,
        f=name,
        shift=shift,
        digits=branch.rstrip() if digits else "",
    )
    lower = "abcdefghijklmnopqrstuvwxyz"
    turned = lower[shift:] + lower[:shift]
    numbers = "0123456789"
    table = str.maketrans(
        lower + lower.upper() + numbers,
        turned + turned.upper() + numbers[digits:] + numbers[:digits],
    )
    notes = ["The alphabet wraps around, and case is kept."]
    if digits:
        notes.append(f"Digits are moved by {digits} in the same way.")
    notes.append("Other characters are unchanged.")
    inputs = [(sentence(rng, 3),), ("xyz, XYZ!",), ("",), ("Room 90-12",), (sentence(rng, 2),)]
    return Draft(
        signature=f"{name}(text)",
        task=f"moves every letter of `text` {shift} place{'s' * (shift > 1)} forward in the "
        "alphabet and returns the result",
        notes=notes,
        solution=solution,
        oracle=lambda text: text.translate(table),
        tests=calls(name, inputs),
        properties=[(f"{name}('Hello {n}')", f"len(result) == {len(f'Hello {n}')}") for n in (7,)],
        parameters={"shift": shift, "digits": digits},
        difficulty=2,
    )


def chosen_characters(rng: Random) -> Draft:
    name = rng.choice(("count_chosen", "tally", "occurrences", "how_many"))
    chosen = "".join(sorted(rng.sample("aeioustrnldm", rng.randint(2, 5))))
    folds = rng.random() < 0.5
    text = "text.lower()" if folds else "text"
    body = rng.choice(
        (
            f"    return sum(c in {chosen!r} for c in {text})\n",
            f"    total = 0\n    for c in {text}:\n        if c in {chosen!r}:\n"
            "            total += 1\n    return total\n",
            f"    return sum({text}.count(c) for c in {chosen!r})\n",
        )
    )
    inputs = [(sentence(rng, n),) for n in (2, 4, 6)]
    return Draft(
        signature=f"{name}(text)",
        task=f"counts how many characters of `text` are among {', '.join(chosen)}",
        notes=["Upper and lower case count alike." if folds else "Only lower-case letters count."],
        solution=f"def {name}(text):\n{body}",
        oracle=lambda text: len(
            re.findall(f"[{chosen}]", text, re.IGNORECASE if folds else re.NOFLAG)
        ),
        tests=calls(name, [*inputs, ("",), (chosen.upper() + chosen,), ("XYZ",)]),
        parameters={"chosen": chosen, "folds": folds},
        difficulty=1,
    )


def loose_palindrome(rng: Random) -> Draft:
    name = rng.choice(("is_palindrome", "reads_both_ways", "is_mirrored"))
    ignored = "".join(rng.sample(" .,!-':", rng.randint(1, 4)))
    solution = code(
        """
        def $f(text):
            left, right = 0, len(text) - 1
            while left < right:
                if text[left] in $ignored:
                    left += 1
                elif text[right] in $ignored:
                    right -= 1
                elif text[left].lower() != text[right].lower():
                    return False
                else:
                    left += 1
                    right -= 1
            return True
        """,
        f=name,
        ignored=repr(ignored),
    )

    def oracle(text: str) -> bool:
        kept = [c for c in text.lower() if c not in ignored]
        return kept == kept[::-1]

    half = rng.choice(("noon", "level", "abc", "stone"))
    inputs = [(half + rng.choice(ignored) + half[::-1],), (sentence(rng, 2),), ("",), ("a b",)]
    inputs += [("Madam, I'm Adam.",), ("a.b,b!a",), (f"{ignored}x",)]
    skip = ignored[0]
    inputs += [(f"ab{skip}",), (f"{skip}ab",), (f"a{skip}bA",), (f"x{ignored}y",), ("xyx",)]
    return Draft(
        signature=f"{name}(text)",
        task="returns whether `text` reads the same forward and backward",
        notes=[
            f"Skip these characters: {' '.join(map(repr, ignored))}.",
            "Case does not matter, everything else does.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"ignored": ignored},
        difficulty=2,
    )


FAMILIES = (
    run_lengths,
    caesar,
    chosen_characters,
    loose_palindrome,
)
