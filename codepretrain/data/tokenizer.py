"""Byte-level BPE: trained or given, deterministic, and lossless.

Every digit is a separate token; otherwise text is split into words as in GPT-2 (Radford et al.,
2019). There is no normalizer and no prefix space: the byte strings of a text's ids, joined, are its
UTF-8 bytes. A text that spells a special token is tokenized like any other.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from codepretrain.config.schema import TokenizerConfig
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


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Returns a tokenizer with pad 0, bos 1, eos 2, the 256 bytes, then merges by frequency.

    A small corpus may have fewer merges than `vocab_size` asks for.

    Raises:
      UserError: `vocab_size` leaves no room for the bytes and the special tokens.
    """
    specials = [PAD_TOKEN, config.bos_token, config.eos_token]
    smallest = len(specials) + 256
    if config.vocab_size < smallest:
        raise UserError(
            f"config.data.tokenizer.vocab_size: expected {smallest} or more (256 bytes and 3 "
            f"special tokens), found {config.vocab_size}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=specials,
        initial_alphabet=sorted(_byte_of_character()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


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
    problems = _problems(tokenizer, config)
    if problems:
        raise UserError(
            f"config.data.tokenizer.path: the tokenizer {path} cannot be used: "
            f"{'; '.join(problems)}"
        )
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str], config: TokenizerConfig) -> list[np.ndarray]:
    """Returns the token ids of each document, bos and eos included: [n] int32.

    Uses all cores, and releases the GIL.
    """
    bos, eos = special_ids(tokenizer, config)
    documents = []
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        ids = np.empty(len(encoding) + 2, np.int32)
        ids[0], ids[1:-1], ids[-1] = bos, encoding.ids, eos
        documents.append(ids)
    return documents


def special_ids(tokenizer: Tokenizer, config: TokenizerConfig) -> tuple[int, int]:
    """Returns the ids of bos and eos in a tokenizer that `load_tokenizer` accepted."""
    bos = tokenizer.token_to_id(config.bos_token)
    eos = tokenizer.token_to_id(config.eos_token)
    assert bos is not None
    assert eos is not None
    return bos, eos


def _problems(tokenizer: Tokenizer, config: TokenizerConfig) -> list[str]:
    problems = []
    value = json.loads(tokenizer.to_str())
    if value["normalizer"] is not None:
        problems.append(f"its normalizer {value['normalizer'].get('type')} alters the text")
    steps = value["pre_tokenizer"] or {}
    steps = steps.get("pretokenizers", [steps])
    byte_level = [step for step in steps if step.get("type") == "ByteLevel"]
    if value["model"]["type"] != "BPE" or not byte_level:
        problems.append("expected a byte-level BPE")
    elif value["model"].get("dropout"):
        problems.append("its BPE dropout makes it random")
    elif any(step.get("add_prefix_space") for step in byte_level):
        problems.append("it adds a space before the text")
    added = tokenizer.get_added_tokens_decoder()
    for field in ("bos_token", "eos_token"):
        token = getattr(config, field)
        index = tokenizer.token_to_id(token)
        if index is None:
            problems.append(f"it has no token {token!r}: set config.data.tokenizer.{field}")
        elif index not in added or not added[index].special:
            problems.append(
                f"its token {token!r} is not a special one: set config.data.tokenizer.{field}"
            )
    alphabet = _byte_of_character().keys()
    foreign = [t for t, i in tokenizer.get_vocab().items() if i not in added and set(t) - alphabet]
    if foreign:
        problems.append(f"its token {min(foreign)!r} is not written in the byte-level alphabet")
    num_entries = max(tokenizer.get_vocab().values()) + 1
    if num_entries > config.vocab_size:
        problems.append(
            f"it has {num_entries} entries, config.data.tokenizer.vocab_size is {config.vocab_size}"
        )
    return problems


def _vocabulary(tokenizer: Tokenizer, config: TokenizerConfig) -> Vocabulary:
    byte_of = _byte_of_character()
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


@cache
def _byte_of_character() -> dict[str, int]:
    """Returns the byte that each character of byte-level BPE represents.

    A byte that is printable in Latin-1 is written as itself, the others in order from U+0100 on.
    Source: Radford et al., 2019, `bytes_to_unicode`.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }
