import doctest
import random
import re
import unicodedata

import numpy as np
import pytest

from codepretrain.data import word_ngrams
from codepretrain.data.word_ngrams import hash_ngrams, hash_words, words_of

TEXTS = [
    "",
    " \n",
    "word",
    " x = f(x+1) ",
    "snake_case camelCase 3.14",
    "naïve café, Straße",
    "日本語のテキスト",
    "漢abc漢 кириллица 한국어 x",
    "\ud800 lone",
    "x" * 70_000 + " y",
    ("word " * 30_000).strip(),
]


def expected_words(text: str) -> list[bytes]:
    """Words by a regular expression on characters, independent of blocks and bytes."""
    ideograph = "\u3000-\u9fff"
    found = re.findall(
        rf"[{ideograph}]?(?:(?![{ideograph}])(?:[A-Za-z0-9_]|[^\x00-\x7f]))+|[{ideograph}]", text
    )
    return [word.encode(errors="surrogatepass") for word in found]


@pytest.mark.parametrize("text", [t for t in TEXTS if len(t) < 60_000 or " " in t[:60_000]])
def test_words(text: str) -> None:
    assert words_of(text) == expected_words(text)
    assert len(hash_words(text)) == len(words_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "it’s “the best” question — isn’t it… ¿no?",
        "it's\u00a0the\u2009best\u3000question\u202fisn't\u2028it no",
        "it's the best question、isn't it。no！",
        "it's the be\u00adst ques\u200btion \u200bisn't\u2060 it\ufeff no",
        "it's the «best» question → isn't × it \x85 no",
    ],
)
def test_typography_does_not_matter(text: str) -> None:
    assert words_of(text) == words_of("it's the best question isn't it no")
    assert hash_words(text).tolist() == hash_words("it's the best question isn't it no").tolist()


def test_composed_and_decomposed_characters_are_equal() -> None:
    text = "Dès qu’il est arrivé à la gare, ガ"
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(text)
    assert words_of(text)[0] == "Dès".encode()


def test_a_word_longer_than_a_block_is_cut() -> None:
    assert [len(word) for word in words_of("x" * 70_000 + " y")] == [65_536, 4_464, 1]
    assert len(hash_words("x" * 70_000 + " y")) == 3


def test_equal_words_have_equal_hashes_wherever_they_are() -> None:
    rng = random.Random(0)
    words = [f"{rng.choice('abcü漢_')}{rng.randrange(10**6)}" for _ in range(40_000)]
    hashes = hash_words(" ".join(words))
    by_word = dict(zip(words, hashes.tolist(), strict=True))
    assert [by_word[word] for word in words] == hashes.tolist()
    assert len(set(by_word.values())) == len(by_word), "and other words have other hashes"


def test_a_block_without_separators_ends_between_words() -> None:
    text = "天地玄黄宇宙洪荒日月盈昃辰宿列張"
    words = hash_words(text).tolist()
    for shift in ("", "a", "ab"):  # a block ends at each byte of an ideograph
        hashes = hash_words(shift + "字" * (2**16 // 3 - 5) + text)
        assert hashes[-len(words) :].tolist() == words
        assert words_of(shift + "字" * (2**16 // 3 - 5) + text)[-1] == "張".encode()


def test_similar_words_have_other_hashes() -> None:
    words = ["a", "aa", "aaa", "b", "ab", "ba", "a0", "0a", "00", "0", "\u0101", "_", "__"]
    assert len(set(hash_words(" ".join(words)).tolist())) == len(words)


def test_ngrams() -> None:
    words = hash_words("a b c a b c a b")
    ngrams = hash_ngrams(words, 3)
    assert len(ngrams) == 6
    assert ngrams.tolist() == [*ngrams[:3].tolist()] * 2, "abc bca cab, twice"
    assert len(set(ngrams.tolist())) == 3
    assert len(hash_ngrams(words, 8)) == 1
    assert len(hash_ngrams(words, 9)) == 0
    assert hash_ngrams(words, 2)[0] != hash_ngrams(hash_words("b a"), 2)[0]


def mixed(value: int) -> int:
    """The finalizer of SplitMix64 in Python's whole numbers."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_the_hashes_are_those_of_the_definition_in_whole_numbers() -> None:
    words = hash_words("def f(x): return x")
    assert words.dtype == np.uint64
    byte, word = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
    expected = [
        mixed(sum((value + 1) * byte ** (i + 1) for i, value in enumerate(one)) % 2**64)
        for one in (b"def", b"f", b"x", b"return", b"x")
    ]
    assert words.tolist() == expected
    total = 0
    for value in expected[:3]:
        total = (total * word + value) % 2**64
    assert hash_ngrams(words, 3)[0] == mixed(total)
    assert expected[0] == 17314800321005552872, "the same in every version"


def test_examples_of_docstrings() -> None:
    assert doctest.testmod(word_ngrams).failed == 0
