"""Token ids of whole documents: every word is tokenized once and then looked up.

A byte-level BPE merges within words only, and its regular expression alone decides where words
begin. So the ids of a text are those of its words, one after the other. The words of a corpus
repeat: splitting with `re` and looking the ids up takes about a fifth of the time of the library,
which runs the merges of each word again. The library tokenizes the words that are new.

Python's tables of Unicode are not the library's, so only ASCII text is split with `re`. In other
text the unit is a *stretch*, which ends where any version of Unicode begins a word: before white
space that follows a visible ASCII character.
"""

import json
import multiprocessing
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from tokenizers import Encoding, Tokenizer

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.tokenizer import special_ids

# Source: the regular expression of GPT-2 (Radford et al., 2019), restricted to ASCII.
_WORD = r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\s0-9A-Za-z]+|\s+(?!\S)|\s+"
# Digits are cut out first, so white space before one is at the end of its text.
_WORD_OR_DIGIT = r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+|[0-9]| ?[^\s0-9A-Za-z]+|\s+(?![^\s0-9])|\s+"
_STRETCH_END = re.compile(r"(?<=[!-~])(?=[ \t\r\n])")
_LINE_END = re.compile(r"(?<=[!-~])(?=\n)")

_GROUP_CHARACTERS = 2**20  # texts whose words are in memory together
_MAX_WORD_CHARACTERS = 64  # longer ones hardly repeat
_MAX_WORDS = 2**19  # about 100 MB


class DocumentEncoder:
    """Encodes documents as [bos] + ids + [eos]. Safe to call from threads."""

    def __init__(self, tokenizer: Tokenizer, config: TokenizerConfig) -> None:
        """tokenizer: one that `load_tokenizer` accepted."""
        self._tokenizer = tokenizer
        self._bos, self._eos = special_ids(tokenizer, config)
        self._pattern = word_pattern(tokenizer)
        self._known: dict[str, bytes] = {}  # word → its ids, int32

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the token ids of each document, bos and eos included: [n] int32."""
        bos, eos = np.array([self._bos, self._eos], np.int32)
        documents = [[bos.tobytes()] for _ in texts]
        if self._pattern is None:
            for ids, encoding in zip(documents, self._library(texts), strict=True):
                ids.append(np.array(encoding.ids, np.int32).tobytes())
        else:
            for group in _groups(texts):
                self._encode_group(group, documents, self._pattern)
        return [np.frombuffer(b"".join([*ids, eos.tobytes()]), np.int32) for ids in documents]

    def _encode_group(
        self, group: list[tuple[int, str]], documents: list[list[bytes]], pattern: re.Pattern[str]
    ) -> None:
        """Appends the ids of each (document number, piece of its text) to the document's."""
        words = [_words(text, pattern) for _, text in group]
        known, rare = self._learn(set().union(*words))
        for (number, _), found in zip(group, words, strict=True):
            try:
                documents[number].append(b"".join(map(known.__getitem__, found)))
            except KeyError:  # a rare word: in few texts
                documents[number] += [(rare if word in rare else known)[word] for word in found]

    def _learn(self, words: set[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Returns the ids of these words and others: of those to keep, and of those too long."""
        known = self._known
        new = words - known.keys()
        if len(known) + len(new) > _MAX_WORDS:
            known = self._known = {}  # another thread may still use the former
            new = words
        rare = {word for word in new if len(word) > _MAX_WORD_CHARACTERS}
        known.update(self._tokenize(new - rare))
        return known, dict(self._tokenize(rare))

    def _tokenize(self, words: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yields each word with its ids, in one call of the library, which takes one core."""
        listed = list(words)
        if not listed:
            return
        encoding = self._tokenizer.encode(listed, is_pretokenized=True, add_special_tokens=False)
        ids = np.array(encoding.ids, np.int32)
        ends = np.searchsorted(np.array(encoding.word_ids), np.arange(len(listed)), "right")
        start = 0
        for word, end in zip(listed, ends.tolist(), strict=True):
            yield word, ids[start:end].tobytes()
            start = end

    def _library(self, texts: Sequence[str]) -> Iterable[Encoding]:
        """Encodes on all cores, except in a worker process: there on one, as it has others."""
        if multiprocessing.parent_process() is None:
            return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return (
            self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0] for text in texts
        )


def word_pattern(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """Returns what splits ASCII text into the tokenizer's words; None if that is not known.

    Known are the pre-tokenizers of GPT-2 (byte-level) and of `train_tokenizer` (digits apart, then
    byte-level). A token that is added without being special is looked for before words are split.
    """
    if not all(token.special for token in tokenizer.get_added_tokens_decoder().values()):
        return None
    found = json.loads(tokenizer.to_str())["pre_tokenizer"] or {}
    steps = found.get("pretokenizers", [found])
    kinds = [
        (step.get("type"), step.get("use_regex"), step.get("individual_digits")) for step in steps
    ]
    digits, byte_level = ("Digits", None, True), ("ByteLevel", True, None)
    if kinds == [digits, byte_level]:
        return re.compile(_WORD_OR_DIGIT, re.ASCII)
    return re.compile(_WORD, re.ASCII) if kinds == [byte_level] else None


def _words(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Returns words, in text that is not ASCII also stretches; joined they are the text."""
    if text.isascii():
        return pattern.findall(text)
    words: list[str] = []
    for line in _LINE_END.split(text):
        words += pattern.findall(line) if line.isascii() else _STRETCH_END.split(line)
    return words


def _groups(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Yields groups of (number of the text, piece of it), each of about `_GROUP_CHARACTERS`."""
    group: list[tuple[int, str]] = []
    num_characters = 0
    for number, text in enumerate(texts):
        for piece in _pieces(text):
            group.append((number, piece))
            num_characters += len(piece)
            if num_characters >= _GROUP_CHARACTERS:
                yield group
                group, num_characters = [], 0
    if group:
        yield group


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _GROUP_CHARACTERS:
        end = _STRETCH_END.search(text, start + _GROUP_CHARACTERS)
        if end is None:
            break
        yield text[start : end.start()]
        start = end.start()
    yield text[start:]
