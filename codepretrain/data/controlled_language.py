"""A language in which it is known what code teaches: answering from bindings.

    code             na = vh ; nc = na ; print nc -> vh ; print na -> vh ;
    scrambled code   na = vh ; nc = na ; print nc -> vb ; print na -> vk ;
    story            na holds vh . nc copies na . what has nc ? vh .
    fact             rd nb is vj .
    filler           fa fq fc fq .

Code and stories have the same bindings: two to four names, each with a value or with the value of a
name before it. In code every name is printed, so half of the statements ask for a value; stories
are rare. Scrambled code has the words and the statements of code, and prints
values at random: it teaches nothing about bindings. Facts are a fixed table of relation × name,
which only text states. Every word follows a space, so that a byte-level BPE has one token for it
wherever it stands, the first word included; letters number the words, because digits are tokens of
their own.
"""

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NUM_NAMES, NUM_VALUES, NUM_RELATIONS, NUM_FILLERS = 12, 12, 20, 24
COPY_SHARE = 0.5  # of the names after the first
FACT_SHARE = 0.4  # of the sentences that are no stories
PAGE_STORY_SHARE = 0.05  # of the pages, with one story each: 3% of the words
MIN_SENTENCES, MAX_SENTENCES = 3, 5
NUM_SUCCESSORS = 4  # of a filler word

Bindings = Sequence[tuple[str, str]]  # name → a value, or a name before it


def _words(kind: str, count: int) -> tuple[str, ...]:
    return tuple(kind + letter for letter in string.ascii_lowercase[:count])


NAMES = _words("n", NUM_NAMES)
VALUES = _words("v", NUM_VALUES)
RELATIONS = _words("r", NUM_RELATIONS)
FILLERS = _words("f", NUM_FILLERS)


@dataclass(frozen=True)
class Answer:
    """A word of a text that follows from the words before it.

    kind: "story", "fact" or "code". place: the number of the word. wrong: other values to choose
    from, those of the same bindings.
    """

    kind: str
    place: int
    word: str
    wrong: tuple[str, ...]


class Tables:
    """What all texts of one seed have in common: the facts, and what may follow a filler word."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"{seed}/tables")
        self.facts = {(r, n): rng.choice(VALUES) for r in RELATIONS for n in NAMES}
        self.successors = {word: rng.sample(FILLERS, NUM_SUCCESSORS) for word in FILLERS}


def draw_bindings(rng: random.Random) -> Bindings:
    """Returns bindings of two to four names. Values that are not copied differ."""
    names = rng.sample(NAMES, rng.randint(2, 4))
    values = rng.sample(VALUES, len(names))
    return [
        (name, rng.choice(names[:i]) if i and rng.random() < COPY_SHARE else values[i])
        for i, name in enumerate(names)
    ]


def draw_story(rng: random.Random) -> Bindings:
    """Returns bindings of a story: with a copy, and with two values or more to choose from."""
    while True:
        bindings = draw_bindings(rng)
        has_copy = any(bound in NAMES for _, bound in bindings)
        if has_copy and len(set(values_of(bindings).values())) > 1:
            return bindings


def values_of(bindings: Bindings) -> dict[str, str]:
    """Returns the value of every name."""
    found: dict[str, str] = {}
    for name, bound in bindings:
        found[name] = found.get(bound, bound)
    return found


def code(bindings: Bindings, rng: random.Random) -> list[str]:
    """Returns the words of a program, which prints all names in random order."""
    return _program(bindings, values_of(bindings), rng)


def scrambled_code(bindings: Bindings, rng: random.Random) -> list[str]:
    """Returns the words of `code`, drawn by an equal `rng`, with random values printed."""
    return _program(bindings, None, rng)


def _program(bindings: Bindings, values: Mapping[str, str] | None, rng: random.Random) -> list[str]:
    words = [word for name, bound in bindings for word in (name, "=", bound, ";")]
    for name in rng.sample([name for name, _ in bindings], len(bindings)):
        value = rng.choice(VALUES) if values is None else values[name]
        words += ["print", name, "->", value, ";"]
    return words


def story(bindings: Bindings, rng: random.Random) -> list[str]:
    """Returns the words of a story, which asks for a name that copies another one."""
    words: list[str] = []
    for name, bound in bindings:
        words += [name, "copies" if bound in NAMES else "holds", bound, "."]
    asked = rng.choice([name for name, bound in bindings if bound in NAMES])
    return [*words, "what", "has", asked, "?", values_of(bindings)[asked], "."]


def page(bindings: Bindings | None, tables: Tables, rng: random.Random) -> list[str]:
    """Returns the words of a page of text; a story of the bindings is one of its sentences."""
    sentences = [_sentence(tables, rng) for _ in range(rng.randint(MIN_SENTENCES, MAX_SENTENCES))]
    if bindings is not None:
        sentences[rng.randrange(len(sentences))] = story(bindings, rng)
    return [word for sentence in sentences for word in sentence]


def _sentence(tables: Tables, rng: random.Random) -> list[str]:
    if rng.random() < FACT_SHARE:
        fact = rng.choice(RELATIONS), rng.choice(NAMES)
        return [*fact, "is", tables.facts[fact], "."]
    words = [rng.choice(FILLERS)]
    for _ in range(rng.randint(3, 8)):
        words.append(rng.choice(tables.successors[words[-1]]))
    return [*words, "."]


def answers(words: Sequence[str]) -> list[Answer]:
    """Returns the answers in the words of a text, in order.

    Of bindings, only answers for a name that copies another one, beside at least two values: a
    wrong answer is then in the same text, and no answer is the value beside its name.
    """
    found = []
    bound: dict[str, str] = {}
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        if before in ("=", "holds", "copies"):
            bound[words[place - 2]] = word
        elif before == "is":
            wrong = tuple(value for value in VALUES if value != word)
            found.append(Answer("fact", place, word, wrong))
        elif before in ("->", "?"):
            asked = words[place - 2]
            values = values_of(list(bound.items()))
            wrong = tuple(sorted(set(values.values()) - {values[asked]}))
            if bound[asked] in NAMES and wrong:
                found.append(Answer("code" if before == "->" else "story", place, word, wrong))
    return found
