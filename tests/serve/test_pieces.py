from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.serve.pieces import Pieces

#          0    1    2    3        4           5            6            7
BYTES = [b"", b"", b"", b"ab", "é".encode(), b"\xe2\x82", b"\xac!", "€uro".encode(), b""]
PIECES = Pieces(Vocabulary(BYTES, bos=1, eos=2, pad=0), {1: "<s>", 2: "</s>"})


def test_names() -> None:
    names = [PIECES.name(token) for token in range(9)]
    assert names == [
        *("<token 0>", "<s>", "</s>", "ab", "é"),
        *(r"bytes:\xe2\x82", r"bytes:\xac\x21", "€uro", "<token 8>"),
    ]


def test_text_of_tokens_and_a_tail() -> None:
    assert PIECES.text([1, 3, 5, 6, 2]) == "ab€!"
    assert PIECES.text([3, 5], b"\xac?") == "ab€?"
    assert PIECES.text([5]) == "�"


def test_a_token_begins_at_a_character_of_the_text() -> None:
    """Token 5 is two of the three bytes of "€", so token 6, with the third, begins there too."""
    tokens = [1, 3, 4, 5, 6, 7, 3]
    text = PIECES.text(tokens)
    assert text == "abé€!€uroab"
    assert PIECES.offsets(tokens) == [0, 0, 2, 3, 3, 5, 9]
    assert text[PIECES.offsets(tokens)[-1] :] == "ab"
