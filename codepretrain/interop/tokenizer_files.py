"""The tokenizer files of an exported model, and whether two tokenizers give the same ids.

The exported `tokenizer.json` is the study's, plus a rule that prepends bos to a text, as in every
training document. One difference from training remains: `transformers` reads text that spells a
special token as that token; in training it is plain text.
"""

from pathlib import Path
from typing import Any

from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.files.directory import FILES
from codepretrain.files.hashing import sha256_file, sha256_json
from codepretrain.files.storage import StrPath
from codepretrain.interop.json_fields import JsonFields
from codepretrain.interop.settings import SpecialTokens
from codepretrain.rows.format import PAD_ID


def special_tokens(tokenizer: StrPath, *, bos: str, eos: str) -> SpecialTokens:
    """Returns the special tokens of a `tokenizer.json`: bos and eos by name, pad by its id.

    Raises:
      UserError: the file is damaged, or has no such token.
    """
    file = JsonFields.read(tokenizer)
    added = file.objects("added_tokens", default=[])
    vocabulary = file.object("model").object("vocab")
    ids = {
        name: vocabulary.whole(name, minimum=0) for name in (bos, eos) if name in vocabulary.values
    }
    ids |= {token.text("content"): token.whole("id", minimum=0) for token in added}
    for token in (bos, eos):
        if token not in ids:
            raise UserError(f"{tokenizer} has no token {quoted(token)}")
    pads = [
        token.text("content")
        for token in added
        if token.whole("id", minimum=0) == PAD_ID and token.flag("special", default=False)
    ]
    pad = (pads[0], PAD_ID) if pads and pads[0] not in (bos, eos) else None
    return SpecialTokens(bos=(bos, ids[bos]), eos=(eos, ids[eos]), pad=pad)


def write_tokenizer(
    folder: Path, tokenizer: StrPath, *, tokens: SpecialTokens, max_seq_len: int
) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`."""
    file = JsonFields.read(tokenizer)
    value = dict(file.values)
    value["post_processor"] = _with_bos(file, *tokens.bos)
    # A prepared tokenizer does not truncate or pad; a user's own file may.
    value["truncation"] = value["padding"] = None
    names = {"bos_token": tokens.bos[0], "eos_token": tokens.eos[0]}
    if tokens.pad:
        names["pad_token"] = tokens.pad[0]
    settings = {
        # Reads tokenizer.json as it is; Cohere's own class would add its special tokens.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_seq_len,
        "padding_side": "left",
    }
    write_json(folder / "tokenizer.json", value, indent=None)
    write_json(folder / "tokenizer_config.json", settings, indent=2)
    write_json(folder / "special_tokens_map.json", names, indent=2)


def check_is_exported(folder: StrPath) -> None:
    """Checks that the tokenizer is the one that `codepretrain export` wrote beside the model.

    Of a model that it did not write nothing is known.

    Raises:
      UserError: the file was replaced, is missing or damaged.
    """
    where, path = f"{folder}/{FILES}", f"{folder}/tokenizer.json"
    if not storage.exists(where) or not storage.exists(path):
        return
    listed = JsonFields.read(where).object("files", default={})
    if "tokenizer.json" not in listed.values:
        return
    if listed.object("tokenizer.json").text("sha256") != sha256_file(path):
        raise UserError(
            f"{path} is not the tokenizer that was exported with the model, so the same ids may be "
            "other texts: export the model again"
        )


def ids_digest(tokenizer: StrPath) -> str:
    """Returns a hash of everything in a `tokenizer.json` that determines a text's ids.

    Excludes the tokens added around a text, and the formatting of the file.

    Raises:
      UserError: the file is missing or damaged.
    """
    file = JsonFields.read(tokenizer)
    settings = file.object("model")
    model = {k: v for k, v in settings.values.items() if v not in (None, False, "")}
    merges = settings.items("merges", default=[])
    model["merges"] = [_merge(settings, i, merge) for i, merge in enumerate(merges)]
    added = file.objects("added_tokens", default=[])
    contents = {
        "model": model,
        "normalizer": file.values.get("normalizer"),
        "pre_tokenizer": file.values.get("pre_tokenizer"),
        "added_tokens": sorted([t.whole("id", minimum=0), t.text("content")] for t in added),
    }
    try:
        return sha256_json(contents)
    except ValueError as error:
        raise UserError(f"{tokenizer} is damaged: {error}") from error


def _merge(settings: JsonFields, index: int, merge: Any) -> str:
    """Returns a merge of BPE in the older of its two spellings: `a b` for ["a", "b"]."""
    if isinstance(merge, str):
        return merge
    if not isinstance(merge, list) or [type(part) for part in merge] != [str, str]:
        settings.fail(f"merges[{index}]", "two texts", merge)
    return " ".join(merge)


def _with_bos(file: JsonFields, token: str, index: int) -> dict[str, Any]:
    """Returns the post-processor of `file`, extended to put bos before a text."""
    bos = {"SpecialToken": {"id": token, "type_id": 0}}
    first, second = ({"Sequence": {"id": text, "type_id": 0}} for text in "AB")
    template = {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, bos, second],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }
    if not file.is_set("post_processor"):
        return template
    existing = file.object("post_processor")
    is_sequence = existing.text("type") == "Sequence"
    steps = existing.objects("processors") if is_sequence else [existing]
    kept = [step.values for step in steps if step.text("type") != "TemplateProcessing"]
    return {"type": "Sequence", "processors": [*kept, template]} if kept else template
