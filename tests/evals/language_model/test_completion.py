"""Hand-made tokens: their texts need not begin or end where stop strings do."""

import pytest

from codepretrain.evals.language_model.completion import Completion, Draft
from codepretrain.rows.vocabulary import Vocabulary

PAD, BOS, EOS, A, AB, BC, C, NEWLINE, SNOW, MAN, EMPTY = range(11)
VOCABULARY = Vocabulary(
    [b"", b"", b"", b"a", b"ab", b"bc", b"c", b"\n\n", b"\xe2\x98", b"\x83x", b""],
    bos=BOS,
    eos=EOS,
    pad=PAD,
)


def written(tokens: list[int], *stops: bytes, max_new_tokens: int = 9) -> Completion | None:
    draft = Draft(VOCABULARY, stops=stops, max_new_tokens=max_new_tokens)
    for number, token in enumerate(tokens):
        assert draft.num_left == max_new_tokens - number
        completion = draft.add(token)
        if completion is not None:
            assert number == len(tokens) - 1, "nothing is written after the end"
            return completion
    return None


@pytest.mark.parametrize(
    ("stops", "tokens", "text"),
    [
        ([b"c"], [A, C], b"a"),
        ([b"c"], [C], b""),
        ([b"aab"], [A, C, A, AB], b"ac"),  # begins in one token and ends in the next
        ([b"abca"], [C, AB, C, A], b"c"),  # over three tokens
        ([b"bcb"], [A, BC, BC], b"a"),  # ends within a token
        ([b"b"], [A, AB], b"aa"),  # begins within a token
        ([b"\n"], [A, NEWLINE], b"a"),
        ([b"ca", b"a"], [C, A], b""),  # the stop string that begins first
        ([b"a", b"ca"], [C, A], b""),
        ([b"cc", b"bc"], [AB, C], b"a"),
        (["☃".encode()], [A, SNOW, MAN], b"a"),  # a character over two tokens
        ([b"aab"], [A, EMPTY, BOS, AB], b""),  # tokens without text separate nothing
        ([b"aaab"], [A, A, A, AB], b"a"),  # an occurrence that overlaps a failed one
    ],
)
def test_the_text_ends_before_the_first_stop_string(
    stops: list[bytes], tokens: list[int], text: bytes
) -> None:
    assert written(tokens, *stops) == Completion(tokens, text, "stop")


def test_without_an_end_it_goes_on() -> None:
    assert written([A, AB, C, SNOW], b"aba", b"\n") is None


def test_eos_ends_it_and_is_no_token_of_it() -> None:
    assert written([EOS], b"a") == Completion([], b"", "eos")
    assert written([AB, SNOW, EOS]) == Completion([AB, SNOW], b"ab\xe2\x98", "eos")


def test_the_last_token_that_it_may_have_ends_it() -> None:
    assert written([A, BOS, C], max_new_tokens=3) == Completion([A, BOS, C], b"ac", "length")
    assert written([A, C], b"c", max_new_tokens=2) == Completion([A, C], b"a", "stop")
