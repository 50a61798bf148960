"""Byte-level BPE: trained or given, deterministic, and lossless.

There is no normalizer and no prefix space: the byte strings of a text's ids, joined, are its UTF-8
bytes. A text that spells a special token is tokenized like any other text.

**Words.** Merges are learned within words only. A word is (`WORDS`)

    't  'll  've              an English ending after an apostrophe
    ·return  _name  \tfor     letters and marks, with one character before them that is no letter,
                              digit or line break
    7                         one digit
    ·==  ):⏎                  punctuation, with a space before it and the line breaks after it
    ⏎⏎  ⏎········             white space; its last character, if that is no line break, belongs to
                              a letter or punctuation that follows

so that indentation and blank lines are one token wherever they are frequent. Every part of `WORDS`
is bounded, because the cost of a word in training grows with its length times its merges.
Source: the regular expression is in the manner of those of GPT-4 and Llama 3. Deviations: single
digits, white space before a digit in one piece, line breaks followed by indentation in one piece,
combining marks within words, and the bounds.

**Markers.** The tokens with which `data/rendering.py` separates parts are entries that are not
special: in every text, what spells one is that entry, and its bytes are its spelling. A text's ids
thus depend on the text alone, here, in seqio and in an exported model. That a user's text cannot
imitate the structure of a rendered document is the renderer's task: it skips documents whose parts
contain a marker.

**Long texts** are tokenized and learned from in pieces of at most 2²⁰ characters, which end after a
line break if there is one in their second half, so that memory is bounded.
"""

import json
from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.rendering import MARKER, MARKERS
from codepretrain.data.tokenization.tokenizer_checks import byte_of_character, problems
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_text
from codepretrain.files.directory import whole_directory
from codepretrain.files.storage import StrPath, is_file, read_text
from codepretrain.rows.format import PAD_ID
from codepretrain.rows.vocabulary import (
    TOKENIZER,
    VOCABULARY,
    Vocabulary,
    tokenizer_directory,
)

PAD_TOKEN = "<pad>"
WORDS = (
    r"'(?i:[sdmt]|ll|ve|re)"
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]{1,64}"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]{1,64}[\r\n]{0,8}"
    r"|\s{0,255}[\r\n](?!\s)"
    r"|\s{1,256}(?![^\s\p{N}])"
    r"|\s{1,256}"
)
_PIECE_CHARACTERS = 2**20


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Returns a tokenizer with pad 0, bos 1, eos 2, the markers, the 256 bytes, then merges.

    Merges are in the order of their frequency. A small corpus may have fewer than `vocab_size` asks
    for.

    Raises:
      UserError: `vocab_size` leaves no room for the bytes, the special tokens and the markers.
    """
    named = [PAD_TOKEN, config.bos_token, config.eos_token, *MARKERS]
    smallest = len(named) + 256
    if config.vocab_size < smallest:
        raise UserError(
            f"config.data.tokenizer.vocab_size: expected {smallest} or more (256 bytes, 3 special "
            f"tokens and {len(MARKERS)} markers), found {config.vocab_size}"
        )
    tokenizer = _without_merges()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=named,
        initial_alphabet=sorted(byte_of_character()),
        show_progress=False,
    )
    # Training does not look for added tokens, so the markers are cut out here.
    parts = (part for text in texts for piece in pieces(text) for part in MARKER.split(piece))
    tokenizer.train_from_iterator(parts, trainer)
    return _with_plain_markers(tokenizer)


def splits_words(tokenizer: Tokenizer) -> bool:
    """Returns whether a tokenizer splits text as `train_tokenizer` does."""
    found, ours = (json.loads(of.to_str()) for of in (tokenizer, _without_merges()))
    return found["pre_tokenizer"] == ours["pre_tokenizer"]


def _without_merges() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _with_plain_markers(tokenizer: Tokenizer) -> Tokenizer:
    """Returns the tokenizer with markers that are not special, which the trainer cannot make."""
    value = json.loads(tokenizer.to_str())
    for token in value["added_tokens"]:
        token["special"] = token["content"] not in MARKERS
    return Tokenizer.from_str(json.dumps(value, ensure_ascii=False))


def save_tokenizer(tokenizer: Tokenizer, config: TokenizerConfig, data_dir: StrPath) -> None:
    """Writes `tokenizer.json` and, for processes without a tokenizer, `vocabulary.json`."""
    _save(tokenizer.to_str(pretty=False), tokenizer, config, data_dir)


def copy_tokenizer(path: StrPath, config: TokenizerConfig, data_dir: StrPath) -> None:
    """Copies an existing `tokenizer.json`, byte for byte, and writes `vocabulary.json`.

    Raises:
      UserError: see `load_tokenizer`.
    """
    tokenizer = load_tokenizer(path, config)
    _save(read_text(path), tokenizer, config, data_dir)


def _save(text: str, tokenizer: Tokenizer, config: TokenizerConfig, data_dir: StrPath) -> None:
    with whole_directory(tokenizer_directory(data_dir)) as folder:
        write_text(folder / TOKENIZER, text)
        _vocabulary(tokenizer, config).save(folder / VOCABULARY)


def load_tokenizer(path: StrPath, config: TokenizerConfig) -> Tokenizer:
    """Reads a `tokenizer.json` and checks that it can be used.

    Raises:
      UserError: no such file, damaged, not a lossless byte-level BPE, special tokens missing, or
        more entries than `config.vocab_size`.
    """
    if not is_file(path):
        raise UserError(f"config.data.tokenizer.path: there is no file {path}")
    text = read_text(path)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"config.data.tokenizer.path: {path} is no tokenizer: {error}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    found = problems(tokenizer, config)
    if found:
        raise UserError(
            f"config.data.tokenizer.path: the tokenizer {path} cannot be used: {'; '.join(found)}"
        )
    return tokenizer


def pieces(text: str) -> Iterator[str]:
    """Yields the pieces in which a text is tokenized; a text of up to 2²⁰ characters is one."""
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        limit = start + _PIECE_CHARACTERS
        end = text.rfind("\n", limit - _PIECE_CHARACTERS // 2, limit) + 1 or limit
        yield text[start:end]
        start = end
    yield text[start:]


def special_ids(tokenizer: Tokenizer, config: TokenizerConfig) -> tuple[int, int]:
    """Returns the ids of bos and eos in a tokenizer that `load_tokenizer` accepted."""
    bos = tokenizer.token_to_id(config.bos_token)
    eos = tokenizer.token_to_id(config.eos_token)
    assert bos is not None
    assert eos is not None
    return bos, eos


def _vocabulary(tokenizer: Tokenizer, config: TokenizerConfig) -> Vocabulary:
    byte_of = byte_of_character()
    added = tokenizer.get_added_tokens_decoder()
    entries = tokenizer.get_vocab()
    token_bytes = [b""] * (max(entries.values()) + 1)
    for token, index in entries.items():
        if index not in added:
            token_bytes[index] = bytes(byte_of[character] for character in token)
        elif not added[index].special:
            token_bytes[index] = token.encode()
    bos, eos = special_ids(tokenizer, config)
    return Vocabulary(token_bytes, bos=bos, eos=eos, pad=PAD_ID)
