"""The text that each token id represents, for processes that import no tokenizer."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files.directory import check_directory, is_whole
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath

_FORMAT_VERSION = 1
TOKENIZER = "tokenizer.json"
VOCABULARY = "vocabulary.json"


class Vocabulary:
    """The byte string of each id; bos, eos and other ids without text have the empty one.

    The tokenizer is byte-level and lossless, so the bytes of a document's ids, joined, are its
    UTF-8 text.
    """

    def __init__(self, token_bytes: Sequence[bytes], *, bos: int, eos: int, pad: int) -> None:
        assert token_bytes[bos] == token_bytes[eos] == b"", "bos and eos represent no text"
        self.token_bytes = tuple(token_bytes)
        self.bos, self.eos, self.pad = bos, eos, pad

    def __len__(self) -> int:
        return len(self.token_bytes)

    @cached_property
    def num_bytes(self) -> np.ndarray:
        """Bytes of text that each id represents: [V] int32."""
        return np.array([len(text) for text in self.token_bytes], np.int32)

    def decode(self, ids: Iterable[int]) -> bytes:
        """Returns the text of the ids; if they end inside a character it is not valid UTF-8."""
        return b"".join(self.token_bytes[token] for token in ids)

    def save(self, path: StrPath) -> None:
        """Writes the vocabulary, sealed with its own hash."""
        value = {
            "format_version": _FORMAT_VERSION,
            "bos": self.bos,
            "eos": self.eos,
            "pad": self.pad,
            "token_bytes": [text.hex() for text in self.token_bytes],
        }
        write_sealed(path, value)


def tokenizer_directory(data_dir: StrPath) -> epath.Path:
    """Returns where `prepare` puts the tokenizer and the vocabulary."""
    return epath.Path(data_dir) / "tokenizer"


def tokenizer_path(data_dir: StrPath) -> epath.Path:
    """Returns the path of the study's `tokenizer.json`."""
    return tokenizer_directory(data_dir) / TOKENIZER


def vocabulary_path(data_dir: StrPath) -> epath.Path:
    """Returns the path of the vocabulary, next to the tokenizer."""
    return tokenizer_directory(data_dir) / VOCABULARY


def has_tokenizer(data_dir: StrPath) -> bool:
    """Returns whether the tokenizer was prepared."""
    return is_whole(tokenizer_directory(data_dir))


def tokenizer_hashes(data_dir: StrPath) -> tuple[str, str]:
    """Returns the SHA-256 of the prepared tokenizer and of its vocabulary, after verifying both.

    Raises:
      UserError: not prepared, or a file is missing or was altered.
    """
    directory = tokenizer_directory(data_dir)
    if not is_whole(directory):
        raise UserError(f"no tokenizer at {directory}: run `codepretrain prepare` first")
    hashes = check_directory(directory, reads_contents=True, remedy=_remedy(data_dir))
    missing = sorted({TOKENIZER, VOCABULARY} - hashes.keys())
    if missing:
        raise DamageError(
            f"damaged {directory}: {', '.join(missing)} is missing from files.json; "
            f"{_remedy(data_dir)}"
        )
    return hashes[TOKENIZER], hashes[VOCABULARY]


def load_vocabulary(data_dir: StrPath, *, vocab_size: int | None = None) -> Vocabulary:
    """Returns the prepared vocabulary, padded with empty entries to the model's `vocab_size`.

    Raises:
      UserError: not prepared, damaged, or larger than the model's vocabulary.
    """
    tokenizer_hashes(data_dir)
    path = vocabulary_path(data_dir)
    value, _ = read_sealed(path, remedy=_remedy(data_dir))
    try:
        token_bytes, specials = _entries(value)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DamageError(f"damaged vocabulary {path}: {error}; {_remedy(data_dir)}") from error
    num_missing = (vocab_size or len(token_bytes)) - len(token_bytes)
    if num_missing < 0:
        raise UserError(
            f"config.model.vocab_size is {vocab_size}, but the tokenizer at {path.parent} has "
            f"{len(token_bytes)} entries: raise config.model.vocab_size"
        )
    return Vocabulary(token_bytes + [b""] * num_missing, **specials)


def _entries(value: dict[str, Any]) -> tuple[list[bytes], dict[str, int]]:
    """Returns the byte string of each id, and the ids of bos, eos and pad."""
    if value["format_version"] != _FORMAT_VERSION:
        raise ValueError(
            f"format {value['format_version']!r}, this version reads {_FORMAT_VERSION}"
        )
    token_bytes = [bytes.fromhex(text) for text in value["token_bytes"]]
    specials = {name: int(value[name]) for name in ("bos", "eos", "pad")}
    for name, index in specials.items():
        if not 0 <= index < len(token_bytes):
            raise ValueError(f"{name} is {index}, expected an id below {len(token_bytes)}")
        if name != "pad" and token_bytes[index]:  # a given tokenizer may use id 0 for text
            raise ValueError(f"{name} is {index}, expected an id without text")
    return token_bytes, specials


def _remedy(data_dir: StrPath) -> str:
    """Returns what to do about a damaged file; a new tokenizer would not match existing rows."""
    return f"restore the file, or delete {data_dir} and run `codepretrain prepare` again"
