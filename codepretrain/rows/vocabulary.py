"""What each token id stands for, for a process that must not import a tokenizer."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from codepretrain.errors import UserError

_FORMAT_VERSION = 1


class Vocabulary:
    """The byte string of each id; bos, eos and other ids without text have the empty one.

    The tokenizer is byte-level and lossless, so the bytes of a document's ids, joined, are its
    UTF-8 text.
    """

    def __init__(self, token_bytes: Sequence[bytes], *, bos: int, eos: int, pad: int) -> None:
        assert token_bytes[bos] == token_bytes[eos] == b"", "bos and eos stand for no text"
        self.token_bytes = tuple(token_bytes)
        self.bos, self.eos, self.pad = bos, eos, pad

    def __len__(self) -> int:
        return len(self.token_bytes)

    @cached_property
    def num_bytes(self) -> np.ndarray:
        """Bytes of text each id stands for: [V] int32."""
        return np.array([len(piece) for piece in self.token_bytes], np.int32)

    def decode(self, ids: Iterable[int]) -> bytes:
        """The text of the ids; a cut inside a character leaves bytes that are no valid UTF-8."""
        return b"".join(self.token_bytes[token] for token in ids)

    def save(self, path: Path) -> None:
        value = {
            "format_version": _FORMAT_VERSION,
            "bos": self.bos,
            "eos": self.eos,
            "pad": self.pad,
            "token_bytes": [piece.hex() for piece in self.token_bytes],
        }
        path.write_text(json.dumps(value), encoding="utf-8")


def tokenizer_path(data_dir: Path) -> Path:
    """Where `prepare` puts the tokenizer under the study's data directory."""
    return data_dir / "tokenizer" / "tokenizer.json"


def vocabulary_path(data_dir: Path) -> Path:
    """Where `prepare` puts the vocabulary, beside the tokenizer."""
    return data_dir / "tokenizer" / "vocabulary.json"


def load_vocabulary(data_dir: Path, *, vocab_size: int | None = None) -> Vocabulary:
    """Returns the prepared vocabulary, padded with empty entries to the model's `vocab_size`.

    Raises:
        UserError: not prepared, damaged, or larger than the model's vocabulary.
    """
    path = vocabulary_path(data_dir)
    if not path.exists():
        raise UserError(f"no vocabulary at {path}: run `codepretrain prepare` first")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format_version"] != _FORMAT_VERSION:
            raise ValueError(f"format version {value['format_version']}, not {_FORMAT_VERSION}")
        token_bytes = [bytes.fromhex(piece) for piece in value["token_bytes"]]
        specials = {name: int(value[name]) for name in ("bos", "eos", "pad")}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"damaged vocabulary {path}: {error}; delete {path.parent} and prepare again"
        ) from error
    num_missing = (vocab_size or len(token_bytes)) - len(token_bytes)
    if num_missing < 0:
        raise UserError(
            f"the tokenizer at {path.parent} has {len(token_bytes)} entries, more than "
            f"model.vocab_size = {vocab_size}: raise model.vocab_size"
        )
    return Vocabulary(token_bytes + [b""] * num_missing, **specials)
