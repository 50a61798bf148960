"""The reader of the controlled language: deterministic, grouped by bindings."""

import pytest

from codepretrain.data.controlled_language import answers
from codepretrain.data.readers import controlled
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader


def by_group(contents: str, **options: int) -> dict[str | None, list[str]]:
    documents, skipped = read(reader("controlled", contents=contents, **options))
    assert not skipped
    groups: dict[str | None, list[str]] = {}
    for document in documents:
        groups.setdefault(document.group, []).append(document.text)
    return groups


def test_documents_depend_on_the_seed_and_the_number_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def texts(count: int, seed: int) -> list[str]:
        made = reader("controlled", contents="text", num_documents=count, seed=seed)
        return [document.text for document in read(made)[0]]

    whole = texts(100, 5)
    monkeypatch.setattr(controlled, "_DOCUMENTS_PER_SHARD", 7)
    assert texts(100, 5) == whole
    assert texts(30, 5) == whole[:30]
    assert not set(texts(30, 6)) & set(whole)


def test_ids_are_unique_and_every_word_follows_a_space() -> None:
    documents, _ = read(reader("controlled", contents="code", num_documents=50))
    assert len({document.id for document in documents}) == 50
    assert documents[7].id == "code/00000007"
    assert all(d.text.startswith(" n") and "  " not in d.text for d in documents)


def test_a_scrambled_program_is_in_the_group_of_the_program() -> None:
    code, scrambled = (
        by_group("code", num_documents=60),
        by_group("scrambled_code", num_documents=60),
    )
    assert code.keys() == scrambled.keys()
    assert code != scrambled
    for group, texts in code.items():
        for text, other in zip(texts, scrambled[group], strict=True):
            assert text.partition("print")[0] == other.partition("print")[0]


def test_a_story_and_the_program_of_its_bindings_are_one_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bindings = [("nc", "vh"), ("na", "nc"), ("nb", "va")]
    monkeypatch.setattr(controlled, "draw_bindings", lambda rng: bindings)
    monkeypatch.setattr(controlled, "draw_story", lambda rng: bindings[:1] + bindings[2:0:-1])
    text = by_group("text", num_documents=200)
    assert text.keys() == {None, "bindings:na=nc nb=va nc=vh"}
    assert by_group("code", num_documents=1).keys() < text.keys()


def test_a_page_without_a_story_is_a_group_of_its_own() -> None:
    text = by_group("text", num_documents=4000)
    alone = text.pop(None)
    assert not any("holds" in page for page in alone)
    assert all("holds" in page for pages in text.values() for page in pages)
    assert 0.04 < sum(map(len, text.values())) / 4000 < 0.06


def test_every_story_and_fact_is_an_answer() -> None:
    documents, _ = read(reader("controlled", contents="text", num_documents=1000))
    words = [word for document in documents for word in document.text.split()]
    found = [a.kind for document in documents for a in answers(document.text.split())]
    assert found.count("story") == words.count("?") > 30
    assert found.count("fact") == words.count("is") > 1000


def test_a_change_of_the_language_is_a_change_of_its_material(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = reader("controlled", contents="code", num_documents=5)
    (before,) = made.list_files()
    controlled._language_version.cache_clear()
    monkeypatch.setattr(controlled, "scrambled_code", controlled.code)
    (after,) = made.list_files()
    controlled._language_version.cache_clear()
    assert before.name == after.name
    assert before.version != after.version


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contents": "codes"}, "contents: there is no 'codes'; did you mean code"),
        ({"contents": "text", "num_documents": 0}, "num_documents: expected 1 to .*, found 0"),
    ],
)
def test_options_that_cannot_be_used(options, message) -> None:
    made = reader("controlled", **{"num_documents": 1, **options})
    with pytest.raises(UserError, match=rf"^reader 'controlled': {message}"):
        made.list_files()
