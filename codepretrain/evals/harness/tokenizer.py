"""Text to token ids and back, with the study's own tokenizer, for evaluations of text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from codepretrain.errors import UserError
from codepretrain.evals.harness.libraries import require
from codepretrain.files.storage import StrPath, read_text
from codepretrain.rows.vocabulary import Vocabulary, load_vocabulary, tokenizer_path

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextTokenizer:
    """The tokenizer of a study's prepared data. `bos`, `eos`: the ids around each document.

    Text that spells a special token is tokenized like any other text, as in training.
    """

    def __init__(self, tokenizer: "Tokenizer", vocabulary: Vocabulary) -> None:
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self.bos, self.eos = vocabulary.bos, vocabulary.eos

    @classmethod
    def load(cls, data_dir: StrPath) -> Self:
        """Returns the tokenizer that `prepare` made.

        Raises:
          UserError: not prepared, damaged, or the package `tokenizers` is not installed.
        """
        require("tokenizers", reader="an evaluation of text")
        from tokenizers import Tokenizer

        vocabulary = load_vocabulary(data_dir)  # verifies both files
        path = tokenizer_path(data_dir)
        try:
            tokenizer = Tokenizer.from_str(read_text(path))
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"{path} is no tokenizer: {error}") from error
        return cls(tokenizer, vocabulary)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, without bos and eos."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Iterable[str]) -> list[list[int]]:
        """Returns `encode` of each text; uses all cores."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of the ids, with U+FFFD for bytes that are not UTF-8."""
        return self._vocabulary.decode(ids).decode(errors="replace")
