"""Whether a given `tokenizer.json` can be used: byte-level BPE that loses no text."""

import json
from functools import cache
from typing import Any

from tokenizers import AddedToken, Tokenizer

from codepretrain.config.schema import TokenizerConfig
from codepretrain.errors import quoted

# White space of every kind between words, and between them every byte that occurs in UTF-8.
_PROBES = (
    " a  b, c",
    " a  b\n\n\tc \r\n d-e_f.g,'s 12 345  6\n        if x:\n\n\t\treturn  ",
    "".join(map(chr, range(0x80))),
    "".join(map(chr, [*range(0x80, 0x800, 0x3F), *range(0x800, 0xD800, 0xFBF)])),
    "".join(map(chr, [0xE000, 0xFFFD, 0x10000, 0x1F642, 0x40000, 0x80000, 0xC0000, 0x100000])),
)


def problems(tokenizer: Tokenizer, config: TokenizerConfig) -> list[str]:
    """Returns why a tokenizer cannot be used, empty if it can."""
    found = [*_kind(json.loads(tokenizer.to_str())), *_special_tokens(tokenizer, config)]
    added = tokenizer.get_added_tokens_decoder()
    alphabet = byte_of_character().keys()
    foreign = [t for t, i in tokenizer.get_vocab().items() if i not in added and set(t) - alphabet]
    if foreign:
        found.append(f"its token {min(foreign)!r} is not written in the byte-level alphabet")
    num_entries = max(tokenizer.get_vocab().values()) + 1
    if num_entries > config.vocab_size:
        found.append(
            f"it has {num_entries} entries, config.data.tokenizer.vocab_size is {config.vocab_size}"
        )
    return found or _losses(tokenizer, added)


def _kind(value: dict[str, Any]) -> list[str]:
    found = []
    if value["normalizer"] is not None:
        found.append(f"its normalizer {value['normalizer'].get('type')} alters the text")
    steps = value["pre_tokenizer"] or {}
    steps = steps.get("pretokenizers", [steps])
    byte_level = [step for step in steps if step.get("type") == "ByteLevel"]
    if value["model"]["type"] != "BPE" or not byte_level:
        found.append("expected a byte-level BPE")
    elif value["model"].get("dropout"):
        found.append("its BPE dropout makes it random")
    elif any(step.get("add_prefix_space") for step in byte_level):
        found.append("it adds a space before the text")
    return found


def _special_tokens(tokenizer: Tokenizer, config: TokenizerConfig) -> list[str]:
    found = []
    added = tokenizer.get_added_tokens_decoder()
    for field in ("bos_token", "eos_token"):
        token = getattr(config, field)
        index = tokenizer.token_to_id(token)
        if index is None:
            found.append(f"it has no token {token!r}: set config.data.tokenizer.{field}")
        elif index not in added or not added[index].special:
            found.append(
                f"its token {token!r} is not a special one: set config.data.tokenizer.{field}"
            )
    return found


def _losses(tokenizer: Tokenizer, added: dict[int, AddedToken]) -> list[str]:
    """Returns the first text, of several hard ones, whose ids do not have its bytes."""
    plain = [token.content for token in added.values() if not token.special]
    byte_of = byte_of_character()

    def text_of(index: int) -> bytes:
        if index in added:
            return b"" if added[index].special else added[index].content.encode()
        token = tokenizer.id_to_token(index)
        assert token is not None, "an id that the tokenizer gave"
        return bytes(byte_of[character] for character in token)

    for text in (*_PROBES, *(f"a  {token}  b" for token in plain)):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        back = b"".join(map(text_of, ids))
        if back != text.encode():
            return [
                f"it loses text: the ids of {quoted(text)} represent "
                f"{quoted(back.decode(errors='replace'))}"
            ]
    return []


@cache
def byte_of_character() -> dict[str, int]:
    """Returns the byte that each character of byte-level BPE represents.

    A byte that is printable in Latin-1 is written as itself, the others in order from U+0100 on.
    Source: Radford et al., 2019, `bytes_to_unicode`.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }
