"""What the model writes after a prompt, and where it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from codepretrain.rows.vocabulary import Vocabulary


@dataclass(frozen=True)
class Completion:
    """One completion of a prompt.

    Attributes:
      tokens: every token written, the one that completes a stop string included, eos not.
      text: the bytes of the tokens, up to the first stop string; special tokens have none. It may
        end inside a character.
      reason: "stop": the text contains a stop string; "eos": the model ended the document;
        "length": it wrote as many tokens as it may.
    """

    tokens: list[int]
    text: bytes
    reason: Literal["stop", "length", "eos"]

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON value; `from_json` returns the completion again."""
        return {"tokens": self.tokens, "text": self.text.hex(), "reason": self.reason}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(value["tokens"], bytes.fromhex(value["text"]), value["reason"])


class Draft:
    """A completion that is being written."""

    def __init__(
        self, vocabulary: Vocabulary, *, stops: Sequence[bytes], max_new_tokens: int
    ) -> None:
        self._vocabulary = vocabulary
        self._stops = stops
        self._overlap = max(map(len, stops), default=1) - 1
        self._max_new_tokens = max_new_tokens
        self._text = bytearray()
        self.tokens: list[int] = []

    @property
    def num_left(self) -> int:
        """How many more tokens it may get."""
        return self._max_new_tokens - len(self.tokens)

    def add(self, token: int) -> Completion | None:
        """Appends a token; returns the completion if it ends here.

        A stop string may begin in one token and end in another. Of several in the text, the one
        that begins first ends the text.
        """
        if token == self._vocabulary.eos:
            return Completion(self.tokens, bytes(self._text), "eos")
        self.tokens.append(token)
        start = max(0, len(self._text) - self._overlap)
        self._text += self._vocabulary.token_bytes[token]
        found = [at for stop in self._stops if (at := self._text.find(stop, start)) >= 0]
        if found:
            return Completion(self.tokens, bytes(self._text[: min(found)]), "stop")
        if not self.num_left:
            return Completion(self.tokens, bytes(self._text), "length")
        return None
