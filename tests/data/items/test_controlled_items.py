"""Items of the controlled language: context, answer and a wrong value, in token ids."""

import random

from codepretrain.data.document import Document
from codepretrain.data.items.controlled_items import controlled_items
from codepretrain.data.items.held_out import HeldOut
from codepretrain.rows.vocabulary import Vocabulary

PAGE = " nc holds vh . na copies nc . nb holds va . what has na ? vh . rd nb is vj ."
PROGRAM = " nc = vh ; na = nc ; nb = va ; print na -> vh ;"
WORDS = sorted({f" {word}" for word in (PAGE + PROGRAM).split()})


def held_out(*texts: str, pieces: list[str] | None = None) -> list[HeldOut]:
    """Returns documents whose tokens are `pieces`: by default words with the space before them."""
    tokens = pieces or WORDS
    vocabulary = Vocabulary([b"", b"", b"", *[t.encode() for t in tokens]], bos=1, eos=2, pad=0)
    found = []
    for number, text in enumerate(texts):
        ids, rest = [1], text
        while rest:
            token = next(token for token in tokens if rest.startswith(token))
            ids, rest = [*ids, tokens.index(token) + 3], rest.removeprefix(token)
        document = Document(id=f"d{number}", text=text, source="s", origin="o")
        found.append(HeldOut(document, [*ids, 2], vocabulary))
    return found


def made(documents: list[HeldOut], kind: str, max_seq_len: int = 64) -> list[dict]:
    return controlled_items(documents, kind=kind, max_seq_len=max_seq_len, rng=random.Random(0))


def text_of(ids: list[int], documents: list[HeldOut]) -> str:
    return documents[0].vocabulary.decode(ids).decode()


def test_a_story_and_a_fact_and_a_program() -> None:
    # The facts of the second page make " va" known: it is no answer of the first.
    documents = held_out(PAGE, " rd nb is va .", PROGRAM)
    (story,) = made(documents, "story")
    assert story["document"] == "d0"
    assert story["context"][0] == 1
    assert text_of(story["context"], documents) == PAGE.partition(" vh . rd")[0]
    choices = [text_of(choice, documents) for choice in story["choices"]]
    assert choices[story["answer"]] == " vh"
    assert choices[1 - story["answer"]] == " va"
    assert story["choice_bytes"] == [3, 3]
    facts = made(documents, "fact")
    assert [fact["document"] for fact in facts] == ["d0", "d1"]
    assert text_of(facts[0]["choices"][facts[0]["answer"]], documents) == " vj"
    (program,) = made(documents, "code")
    assert text_of(program["context"], documents) == PROGRAM.removesuffix(" vh ;")


def test_a_word_of_several_tokens() -> None:
    pieces = [*(word for word in WORDS if not word.startswith(" v")), " v", "h", "a", "j"]
    documents = held_out(PAGE, " rd nb is va .", pieces=pieces)
    (story,) = made(documents, "story")
    choices = [text_of(choice, documents) for choice in story["choices"]]
    assert [len(choice) for choice in story["choices"]] == [2, 2]
    assert set(choices) == {" vh", " va"}


def test_answers_that_no_token_begins_with_or_that_are_too_far_are_left_out() -> None:
    documents = held_out(PAGE, " rd nb is va .", pieces=[" ? vh", *WORDS])
    assert not made(documents, "story")
    documents = held_out(PAGE, " rd nb is va .")
    length = len(made(documents, "story")[0]["context"]) + 1
    assert made(documents, "story", length)
    assert not made(documents, "story", length - 1)


def test_the_right_choice_is_not_always_in_one_place() -> None:
    documents = held_out(*[" rd nb is vh .", " rd nb is va ."] * 20)
    items = made(documents, "fact")
    assert len(items) == 40
    assert {item["answer"] for item in items} == {0, 1}
    assert items == made(documents, "fact")
