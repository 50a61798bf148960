"""The tokenizer files of an exported model, and whether two tokenizers give the same ids.

`tokenizer.json` is the study's, with one thing added: the rule that puts bos before a text, as
every document the model was trained on began with it. One difference from training remains: a text
that spells a special token is read as that token by `transformers`, and as plain text here.
"""

import json
from pathlib import Path
from typing import Any

from codepretrain.errors import UserError
from codepretrain.files.identity import digest
from codepretrain.interop.settings import SpecialTokens, read_json
from codepretrain.rows.format import PAD_ID


def special_tokens(tokenizer: Path, *, bos: str, eos: str) -> SpecialTokens:
    """Returns the special tokens of a `tokenizer.json`, bos and eos by name, pad by its id."""
    value = read_json(tokenizer)
    ids = {**value["model"]["vocab"], **{t["content"]: t["id"] for t in value["added_tokens"]}}
    for token in (bos, eos):
        if token not in ids:
            raise UserError(f"{tokenizer} has no token {token!r}")
    pads = [t["content"] for t in value["added_tokens"] if t["id"] == PAD_ID and t["special"]]
    pad = (pads[0], PAD_ID) if pads and pads[0] not in (bos, eos) else None
    return SpecialTokens(bos=(bos, ids[bos]), eos=(eos, ids[eos]), pad=pad)


def write_tokenizer(
    folder: Path, tokenizer: Path, *, tokens: SpecialTokens, max_seq_len: int
) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`."""
    value = read_json(tokenizer)
    value["post_processor"] = _with_bos(value.get("post_processor"), *tokens.bos)
    # A prepared tokenizer never cuts or pads; a given file may carry such settings.
    value["truncation"] = value["padding"] = None
    names = {"bos_token": tokens.bos[0], "eos_token": tokens.eos[0]}
    if tokens.pad:
        names["pad_token"] = tokens.pad[0]
    settings = {
        # Reads tokenizer.json as it stands; Cohere's own class would put its special tokens in.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_seq_len,
        "padding_side": "left",
    }
    _write(folder / "tokenizer.json", value)
    _write(folder / "tokenizer_config.json", settings, indent=2)
    _write(folder / "special_tokens_map.json", names, indent=2)


def ids_digest(tokenizer: Path) -> str:
    """Returns a hash of all in a `tokenizer.json` that decides which ids a text becomes.

    What is put around a text is no part of it, nor how the file is written.
    """
    value = read_json(tokenizer)
    model = {k: v for k, v in value["model"].items() if v not in (None, False, "")}
    model["merges"] = [m if isinstance(m, str) else " ".join(m) for m in model.get("merges", [])]
    return digest(
        {
            "model": model,
            "normalizer": value.get("normalizer"),
            "pre_tokenizer": value.get("pre_tokenizer"),
            "added_tokens": sorted([t["id"], t["content"]] for t in value["added_tokens"]),
        }
    )


def _with_bos(existing: dict[str, Any] | None, token: str, index: int) -> dict[str, Any]:
    """Returns a post-processor that does what `existing` did, and puts bos before a text."""
    bos = {"SpecialToken": {"id": token, "type_id": 0}}
    first, second = ({"Sequence": {"id": text, "type_id": 0}} for text in "AB")
    template = {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, bos, second],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }
    if existing is None or existing["type"] == "TemplateProcessing":
        return template
    steps = existing["processors"] if existing["type"] == "Sequence" else [existing]
    kept = [step for step in steps if step["type"] != "TemplateProcessing"]
    return {"type": "Sequence", "processors": [*kept, template]}


def _write(path: Path, value: dict[str, Any], indent: int | None = None) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
