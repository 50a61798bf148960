"""The study's tokenizer as a `seqio.Vocabulary`."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import seqio
import tensorflow as tf
from tokenizers import Tokenizer

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import load_tokenizer, special_ids
from codepretrain.files.hashing import sha256_file
from codepretrain.files.storage import StrPath


class ByteLevelBPE(seqio.Vocabulary):
    """Byte-level BPE read from a `tokenizer.json`; no unknown token, since every byte has an id.

    `encode` adds neither bos nor eos, as seqio expects.
    """

    def __init__(self, path: StrPath, config: TokenizerConfig) -> None:
        super().__init__()
        self.path, self.config = path, config

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.path, self.config)

    @cached_property
    def encoder(self) -> DocumentEncoder:
        """What `prepare` encodes documents with."""
        return DocumentEncoder(self.tokenizer, self.config)

    @property
    def bos_id(self) -> int:
        return special_ids(self.tokenizer, self.config)[0]

    @property
    def eos_id(self) -> int:
        return special_ids(self.tokenizer, self.config)[1]

    @property
    def unk_id(self) -> None:
        return None

    @property
    def _base_vocab_size(self) -> int:
        return max(self.tokenizer.get_vocab().values()) + 1

    def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids [n] int32 of each text with bos and eos."""
        return self.encoder.encode(texts)

    def _encode(self, s: str) -> list[int]:
        return self.encode_documents([s])[0][1:-1].tolist()

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        def ids(text: bytes | np.ndarray) -> np.ndarray:  # an array [] when run eagerly
            return np.array(self._encode(np.asarray(text, object).item().decode()), np.int32)

        return tf.ensure_shape(tf.numpy_function(ids, [s], tf.int32), [None])

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """ids: [..., n] → strings [...]."""

        def texts(rows: np.ndarray) -> np.ndarray:
            flat = [self._decode(row).encode() for row in rows.reshape(-1, rows.shape[-1]).tolist()]
            return np.array(flat, object).reshape(rows.shape[:-1])

        return tf.ensure_shape(tf.numpy_function(texts, [ids], tf.string), ids.shape[:-1])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, ByteLevelBPE) and sha256_file(self.path) == sha256_file(other.path)

    def __hash__(self) -> int:
        return hash(sha256_file(self.path))
