import random

import pytest

from codepretrain.data.decontaminate import (
    DecontaminationSettings,
    EvaluationIndex,
    EvaluationText,
)

SETTINGS = DecontaminationSettings()
RNG = random.Random(0)


def words(count: int) -> list[str]:
    return [f"w{RNG.getrandbits(40):x}" for _ in range(count)]


ITEMS = {
    ("qa", "long"): words(60),
    ("qa", "13"): words(13),
    ("code", "12"): words(12),
    ("code", "8"): words(8),
    ("code", "7"): words(7),
}


def index_of(items: dict, settings: DecontaminationSettings = SETTINGS) -> EvaluationIndex:
    return EvaluationIndex(
        [
            EvaluationText(benchmark, item, " ".join(text))
            for (benchmark, item), text in items.items()
        ],
        settings,
    )


INDEX = index_of(ITEMS)


def found(part: list[str], index: EvaluationIndex = INDEX) -> list[tuple[str, str, int]]:
    text = " ".join([*words(100), *part, *words(100)])
    return [(match.benchmark, match.item, match.num_ngrams) for match in index.matches(text)]


@pytest.mark.parametrize("start", [0, 1, 30, 47])
def test_thirteen_words_are_an_overlap_and_twelve_are_not(start: int) -> None:
    text = ITEMS["qa", "long"]
    assert found(text[start : start + 13]) == [("qa", "long", 1)]
    assert found(text[start : start + 12]) == []
    assert found(text[start : start + 20])[0][2] == min(60, start + 20) - start - 12


def test_short_items_are_sought_as_a_whole() -> None:
    for key in [("qa", "13"), ("code", "12"), ("code", "8")]:
        assert found(ITEMS[key]) == [(*key, 1)]
        assert found(ITEMS[key][1:]) == []
        assert found(ITEMS[key][:-1]) == []
    assert found(ITEMS["code", "7"]) == []
    assert INDEX.too_short == {"code": 1}


def test_near_misses() -> None:
    text = ITEMS["qa", "long"]
    assert found([*text[:12], "other", *text[13:25], "other", *text[26:38]]) == []
    assert found([*text[:6], "inserted", *text[6:13]]) == []
    assert found(text[:13][::-1]) == []
    assert found([*text[:12], text[12] + "x"]) == []


def test_case_punctuation_and_line_ends_do_not_matter() -> None:
    text = ITEMS["qa", "13"]
    assert found([word.upper() for word in text]) == [("qa", "13", 1)]
    assert found([",\n(".join(text)]) == [("qa", "13", 1)]
    for between in ("\u00a0", " — ", "” “", "…", "，", "\u200b \u200b", "\u3000"):
        assert found([between.join(text)]) == [("qa", "13", 1)]


def test_all_items_of_all_benchmarks_are_named() -> None:
    shared = words(20)
    items = {("b", "2"): shared, ("a", "1"): [*words(5), *shared], ("b", "1"): shared[:13]}
    index = index_of(items)
    assert found(shared, index) == [("a", "1", 8), ("b", "1", 1), ("b", "2", 8)]
    (_, second, _) = index.matches(" ".join(shared))
    assert second.example == " ".join(shared[:13])


def test_the_beginning_and_the_end_of_a_document() -> None:
    text = ITEMS["qa", "13"]
    assert len(INDEX.matches(" ".join(text))) == 1
    assert INDEX.matches(" ".join(text[:12])) == INDEX.matches("") == INDEX.matches("...") == []


def test_equal_hashes_are_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every n-gram of the document is given a hash of the index."""
    from codepretrain.data.decontaminate import index as module

    text = " ".join(words(13))
    real = module.hash_ngrams
    item = module.hash_words(" ".join(ITEMS["qa", "13"]))
    monkeypatch.setattr(module, "hash_ngrams", lambda hashed, size: real(item, size))
    assert INDEX.matches(text) == []


def test_no_evaluation_texts() -> None:
    assert EvaluationIndex([], SETTINGS).matches("some text " * 20) == []


def test_the_fingerprint_is_that_of_settings_and_texts() -> None:
    again = index_of(dict(reversed(ITEMS.items())))
    assert again.fingerprint == INDEX.fingerprint
    changed = [
        index_of({**ITEMS, ("qa", "new"): words(20)}),
        index_of({**ITEMS, ("qa", "13"): words(13)}),
        index_of({**ITEMS, ("qa", "short"): words(2)}),
        index_of(ITEMS, DecontaminationSettings(ngram_size=12)),
    ]
    assert len({INDEX.fingerprint, *(one.fingerprint for one in changed)}) == 5


def test_planted_overlaps_of_all_lengths() -> None:
    """Found: 100% of overlaps of 13 words or more; of shorter ones, and of edited ones, 0%."""
    rng = random.Random(1)
    items = {("b", str(number)): words(rng.randint(13, 200)) for number in range(200)}
    index = index_of(items)
    for (benchmark, item), text in items.items():
        length = rng.randint(13, len(text))
        start = rng.randint(0, len(text) - length)
        part = text[start : start + length]
        assert found(part, index) == [(benchmark, item, length - 12)]
        for place in range(rng.randint(0, 12), length, 13):
            part[place] = "edited"
        assert found(part, index) == []
