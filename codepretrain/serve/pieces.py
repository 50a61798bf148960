"""Token ids as the strings and the character offsets of a response."""

import codecs
from collections.abc import Iterable, Mapping, Sequence

from codepretrain.rows.vocabulary import Vocabulary


class Pieces:
    """What each token is called in a response, and where it begins in the text.

    A token may end inside a character, so its bytes need not be UTF-8:

    token's bytes     name
    UTF-8             the text itself
    other bytes       `bytes:\\xe2\\x82`
    none              `<|eos|>`, the name of a special token, or `<token 511>`
    """

    def __init__(self, vocabulary: Vocabulary, special_names: Mapping[int, str]) -> None:
        self._token_bytes = vocabulary.token_bytes
        self._special_names = special_names
        self.eos = vocabulary.eos

    def name(self, token: int) -> str:
        """Returns the name of a token."""
        data = self._token_bytes[token]
        if not data:
            return self._special_names.get(token, f"<token {token}>")
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    def num_bytes(self, token: int) -> int:
        """Returns how many bytes of text a token has."""
        return len(self._token_bytes[token])

    def text(self, tokens: Iterable[int], tail: bytes = b"") -> str:
        """Returns the text of tokens and of more bytes; U+FFFD stands for what is not UTF-8."""
        data = b"".join(self._token_bytes[token] for token in tokens)
        return (data + tail).decode(errors="replace")

    def offsets(self, tokens: Sequence[int]) -> list[int]:
        """Returns the character of the joined text in which each token begins."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        offsets, num_characters = [], 0
        for token in tokens:
            offsets.append(num_characters)
            num_characters += len(decoder.decode(self._token_bytes[token]))
        return offsets
