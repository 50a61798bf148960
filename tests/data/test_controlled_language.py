"""The controlled language, by hand: what follows from a text, and what does not."""

import random

from codepretrain.data.controlled_language import (
    FILLERS,
    NAMES,
    VALUES,
    Answer,
    Tables,
    answers,
    code,
    draw_bindings,
    draw_story,
    page,
    scrambled_code,
    story,
    values_of,
)

BINDINGS = [("nc", "vh"), ("na", "nc"), ("nb", "va"), ("nd", "na")]
VALUES_BY_NAME = {"nc": "vh", "na": "vh", "nb": "va", "nd": "vh"}


def answers_in(text: str) -> list[Answer]:
    return answers(text.split())


def test_a_copy_has_the_value_of_what_it_copies() -> None:
    assert values_of(BINDINGS) == VALUES_BY_NAME
    rng = random.Random(0)
    for _ in range(200):
        drawn = draw_bindings(rng)
        assert 2 <= len(drawn) <= 4
        assert set(values_of(drawn).values()) <= set(VALUES)
        for number, (_, bound) in enumerate(drawn):
            assert bound in VALUES or bound in [name for name, _ in drawn[:number]]


def test_a_program_prints_every_name_once_with_its_value() -> None:
    words = code(BINDINGS, random.Random(1))
    assert " ".join(words).startswith("nc = vh ; na = nc ; nb = va ; nd = na ; print ")
    printed = dict(zip(words[17::5], words[19::5], strict=True))
    assert printed == VALUES_BY_NAME


def test_a_scrambled_program_differs_from_it_in_the_printed_values_alone() -> None:
    scrambled = [scrambled_code(BINDINGS, random.Random(seed)) for seed in range(400)]
    for seed, words in enumerate(scrambled):
        original = code(BINDINGS, random.Random(seed))
        at = [place for place, word in enumerate(words) if word != original[place]]
        assert len(words) == len(original)
        assert {original[place - 1] for place in at} == {"->"}
    # Each value is printed as often as any other, whatever is bound: 1,600 draws of 12 values.
    printed = [word for words in scrambled for word in words[19::5]]
    counts = [printed.count(value) for value in VALUES]
    assert min(counts) > 133 - 60
    assert max(counts) < 133 + 60


def test_a_story_asks_for_a_copy() -> None:
    asked = set()
    for seed in range(50):
        words = story(BINDINGS, random.Random(seed))
        assert " ".join(words).startswith("nc holds vh . na copies nc . nb holds va . nd copies na")
        assert words[-6:] == ["what", "has", words[-4], "?", VALUES_BY_NAME[words[-4]], "."]
        asked.add(words[-4])
    assert asked == {"na", "nd"}


def test_a_story_can_be_answered_in_two_ways_by_its_own_values() -> None:
    rng = random.Random(0)
    for _ in range(200):
        (answer,) = answers(story(draw_story(rng), rng))
        assert answer.kind == "story"
        assert answer.wrong


def test_facts_are_one_table_and_the_same_on_every_page() -> None:
    tables, rng = Tables(3), random.Random(0)
    stated = set()
    for _ in range(300):
        words = page(None, tables, rng)
        for place, word in enumerate(words):
            if word == "is":
                stated.add((words[place - 2], words[place - 1], words[place + 1]))
    assert len(stated) > 200
    assert stated <= {(*key, value) for key, value in tables.facts.items()}
    assert Tables(3).facts == tables.facts != Tables(4).facts


def test_answers_are_those_of_copies_beside_another_value_and_of_facts() -> None:
    text = "nc holds vh . na copies nc . nb holds va . what has na ? vh . rd nb is vj ."
    others = tuple(value for value in VALUES if value != "vj")
    assert answers_in(text) == [
        Answer("story", 16, "vh", ("va",)),
        Answer("fact", 21, "vj", others),
    ]
    text = "nc = vh ; na = nc ; nb = va ; print nb -> va ; print na -> vh ;"
    assert answers_in(text) == [Answer("code", 20, "vh", ("va",))]


def test_without_another_value_or_a_copy_there_is_no_answer() -> None:
    assert not answers_in("nc holds vh . na copies nc . what has na ? vh .")
    assert not answers_in("nc holds vh . na holds va . what has na ? va .")
    assert not answers([*FILLERS, *NAMES])
