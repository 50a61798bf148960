"""Token ids of whole documents: every word is tokenized once and then looked up.

A byte-level BPE merges within words only, and its regular expression alone decides where words
begin. So the ids of a text are those of its words, one after the other. The words of a corpus
repeat: splitting with `re` and looking the ids up takes about a fifth of the time of the library,
which runs the merges of each word again. The library tokenizes the words that are new.

Python's tables of Unicode are not the library's, so only ASCII text is split with `re`. In other
text the unit is a *stretch*, which ends where any version of Unicode begins a word, such as before
a space that follows a visible ASCII character.
"""

import json
import multiprocessing
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.rendering import MARKER, MARKERS
from codepretrain.data.tokenization.tokenizer import pieces, special_ids, splits_words


@dataclass(frozen=True)
class _Splitter:
    """How a pre-tokenizer's words are found with `re`.

    word: of ASCII text. line_end: where it is safe to cut any text into parts that may be ASCII.
    stretch_end: where it is safe to cut other text. Words begin at these places in every text, and
    the words before them do not depend on what follows.
    """

    word: re.Pattern[str]
    line_end: re.Pattern[str]
    stretch_end: re.Pattern[str]


# Source: the regular expression of GPT-2 (Radford et al., 2019), restricted to ASCII.
_GPT2 = _Splitter(
    word=re.compile(
        r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\s0-9A-Za-z]+|\s+(?!\S)|\s+", re.ASCII
    ),
    line_end=re.compile(r"(?<=[!-~])(?=\n)"),
    stretch_end=re.compile(r"(?<=[!-~])(?=[ \t\r\n])"),
)
# `tokenizer.WORDS`, restricted to ASCII. A line break may belong to the word before it, so lines
# end after it, or within the indentation that follows: before its last space.
_OURS_LINE_END = r"(?<=\n)(?=[!-~])|(?<=[ \t\n])(?= [!-/:-~])"
_OURS = _Splitter(
    word=re.compile(
        r"'(?i:[sdmt]|ll|ve|re)"
        r"|[^\r\nA-Za-z0-9]?[A-Za-z]{1,64}"
        r"|[0-9]"
        r"| ?[^\sA-Za-z0-9]{1,64}[\r\n]{0,8}"
        r"|\s{0,255}[\r\n](?!\s)"
        r"|\s{1,256}(?![^\s0-9])"
        r"|\s{1,256}",
        re.ASCII,
    ),
    line_end=re.compile(_OURS_LINE_END),
    stretch_end=re.compile(rf"(?<=[!-~])(?=[ \t])|{_OURS_LINE_END}"),
)

_GROUP_CHARACTERS = 2**20  # texts whose words are in memory together
_MAX_WORD_CHARACTERS = 64  # longer ones hardly repeat
_MAX_WORDS = 2**19  # about 100 MB


class DocumentEncoder:
    """Encodes documents as [bos] + ids + [eos]. Safe to call from threads."""

    def __init__(self, tokenizer: Tokenizer, config: TokenizerConfig) -> None:
        """tokenizer: one that `load_tokenizer` accepted."""
        self._tokenizer = tokenizer
        self._bos, self._eos = special_ids(tokenizer, config)
        self._splitter = splitter_of(tokenizer)
        self._known: dict[str, bytes] = {}  # word → its ids, int32

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the token ids of each document, bos and eos included: [n] int32."""
        bos, eos = np.array([self._bos, self._eos], np.int32)
        documents = [[bos.tobytes()] for _ in texts]
        for group in _groups(texts):
            if self._splitter is None:
                encodings = self._library([piece for _, piece in group])
                for (number, _), encoding in zip(group, encodings, strict=True):
                    documents[number].append(np.array(encoding.ids, np.int32).tobytes())
            else:
                self._encode_group(group, documents, self._splitter)
        return [np.frombuffer(b"".join([*ids, eos.tobytes()]), np.int32) for ids in documents]

    def _encode_group(
        self, group: list[tuple[int, str]], documents: list[list[bytes]], splitter: _Splitter
    ) -> None:
        """Appends the ids of each (document number, piece of its text) to the document's."""
        words = [_words(text, splitter) for _, text in group]
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


def splitter_of(tokenizer: Tokenizer) -> _Splitter | None:
    """Returns what splits a text into the tokenizer's words; None if that is not known.

    Known are the byte-level pre-tokenizer of GPT-2 and that of `train_tokenizer`. A token that is
    added without being special is looked for before words are split: known are the markers.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    plain = {token.content for token in added if not token.special}
    if plain not in (set(), set(MARKERS)):
        return None
    if splits_words(tokenizer):
        return _OURS if plain else None
    found = json.loads(tokenizer.to_str())["pre_tokenizer"] or {}
    is_gpt2 = found.get("type") == "ByteLevel" and found.get("use_regex") is True
    return _GPT2 if is_gpt2 and not plain else None


def _words(text: str, splitter: _Splitter) -> list[str]:
    """Returns words, in text that is not ASCII also stretches; joined they are the text."""
    if splitter is _GPT2 or not (markers := MARKER.findall(text)):
        return _plain_words(text, splitter)
    first, *rest = MARKER.split(text)
    words = _plain_words(first, splitter)
    for marker, part in zip(markers, rest, strict=True):
        words += [marker, *_plain_words(part, splitter)]
    return words


def _plain_words(text: str, splitter: _Splitter) -> list[str]:
    if text.isascii():
        return splitter.word.findall(text)
    words: list[str] = []
    for line in splitter.line_end.split(text):
        words += splitter.word.findall(line) if line.isascii() else splitter.stretch_end.split(line)
    return words


def _groups(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Yields groups of (number of the text, piece of it), each of about `_GROUP_CHARACTERS`."""
    group: list[tuple[int, str]] = []
    num_characters = 0
    for number, text in enumerate(texts):
        for piece in pieces(text):
            group.append((number, piece))
            num_characters += len(piece)
            if num_characters >= _GROUP_CHARACTERS:
                yield group
                group, num_characters = [], 0
    if group:
        yield group
