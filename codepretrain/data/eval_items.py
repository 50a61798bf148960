"""Items of the local tasks, made from held-out documents only.

`prose_continuation`, `code_continuation`: a context and four continuations of equally many tokens;
one follows the context in its document, the others stand in other held-out documents of the source.
`python_expression`: the prompt ends within an expression that is the last thing on its line; the
completed line is right if the expression has the value that it has in the document.

The items are the same for every study with the same data, whatever its seed. They are written in
random order, so the first n of them are a sample. A task may have several items of one document:
their scores are not quite independent.
"""

import ast
import bisect
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from codepretrain.config import StudyConfig
from codepretrain.data.atomic import atomic_directory
from codepretrain.data.document import Document
from codepretrain.data.documents import documents_directory, read_documents
from codepretrain.data.expressions import NotClosed, closed_expressions, value_of
from codepretrain.data.readers.docstrings import parse
from codepretrain.data.tokenizer import encode, load_tokenizer
from codepretrain.vocabulary import Vocabulary, load_vocabulary, tokenizer_path

MAX_ITEMS = 512
MAX_ITEMS_PER_DOCUMENT = 8
MAX_DOCUMENTS = 4096  # held-out documents looked at, per source
CONTEXT_TOKENS = 96
CONTINUATION_TOKENS = 24
NUM_CHOICES = 4
MAX_CUT_TOKENS = 3  # tokens of an expression that the model has to find
EXTRA_NEW_TOKENS = 8  # that it may write more than that
MAX_EXPRESSION_BYTES = 80

TASKS: Mapping[str, str] = {"prose_continuation": "text", "code_continuation": "code"}
EXPRESSIONS = "python_expression"


@dataclass(frozen=True)
class _Tokenized:
    document: Document
    ids: Sequence[int]


def write_eval_items(config: StudyConfig, data_dir: Path) -> dict[str, dict[str, Any]]:
    """Writes `<data_dir>/evals/<task>.jsonl`; returns, and writes as the manifest, their hashes."""
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    vocabulary = load_vocabulary(data_dir)
    held_out = {
        source: _held_out(config, data_dir, source, tokenizer) for source in config.data.sources
    }
    items: dict[str, list[dict[str, Any]]] = {task: [] for task in (*TASKS, EXPRESSIONS)}
    for task, kind in TASKS.items():
        for source, documents in sorted(held_out.items()):
            if config.data.sources[source].kind == kind:
                items[task] += continuations(
                    documents,
                    vocabulary=vocabulary,
                    max_seq_len=config.data.max_seq_len,
                    rng=random.Random(f"{task}/{source}"),
                )
    for source, documents in sorted(held_out.items()):
        items[EXPRESSIONS] += expressions(
            documents,
            vocabulary=vocabulary,
            max_seq_len=config.data.max_seq_len,
            rng=random.Random(f"{EXPRESSIONS}/{source}"),
        )
    return _write(items, data_dir / "evals")


def continuations(
    documents: Sequence[_Tokenized], *, vocabulary: Vocabulary, max_seq_len: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Multiple-choice items of one source; none if too few documents are long enough."""
    num_context = min(CONTEXT_TOKENS, max_seq_len * 3 // 4)
    num_continuation = min(CONTINUATION_TOKENS, max_seq_len - num_context)
    size = num_context - 1 + num_continuation  # bos takes the first place of the context
    windows = {
        tokenized.document.id: [
            list(tokenized.ids[start : start + size])
            for start in range(1, len(tokenized.ids) - size, size)
        ]
        for tokenized in documents
    }
    windows = {document: found for document, found in windows.items() if found}
    if len(windows) < NUM_CHOICES:
        return []
    items = []
    for document, found in windows.items():
        others = sorted(windows.keys() - {document})
        for window in rng.sample(found, min(len(found), MAX_ITEMS_PER_DOCUMENT)):
            truth = window[num_context - 1 :]
            choices = [truth]
            for other in rng.sample(others, NUM_CHOICES - 1):
                choices.append(rng.choice(windows[other])[num_context - 1 :])
            if any(choice == truth for choice in choices[1:]):
                continue
            rng.shuffle(choices)
            items.append(
                {
                    "document": document,
                    "context": [vocabulary.bos, *window[: num_context - 1]],
                    "choices": choices,
                    "answer": choices.index(truth),
                    "choice_bytes": [len(vocabulary.decode(choice)) for choice in choices],
                }
            )
    return items


def expressions(
    documents: Sequence[_Tokenized], *, vocabulary: Vocabulary, max_seq_len: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Generation items of one source's Python documents; an expression's text occurs once."""
    items, seen = [], set()
    for tokenized in documents:
        if tokenized.document.language != "python":
            continue
        tree = parse(tokenized.document.text)
        found = list(_whole_line_endings(tokenized.document.text, tree)) if tree else []
        rng.shuffle(found)
        num_taken = 0
        for start, stop in found:
            item = _expression_item(
                tokenized, start, stop, vocabulary=vocabulary, max_seq_len=max_seq_len, rng=rng
            )
            if item is None or (text := item["expression_prefix"] + item["reference"]) in seen:
                continue
            seen.add(text)
            items.append(item)
            num_taken += 1
            if num_taken == MAX_ITEMS_PER_DOCUMENT:
                break
    return items


def _whole_line_endings(text: str, tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Byte ranges of closed expressions within one line that end it, other than plain literals."""
    lines = text.encode().splitlines(keepends=True)
    starts = np.cumsum([0, *(len(line) for line in lines)])
    for node in closed_expressions(tree):
        line = lines[node.lineno - 1]
        assert node.end_col_offset is not None
        if node.lineno == node.end_lineno and not line[node.end_col_offset :].strip():
            at = int(starts[node.lineno - 1])
            yield at + node.col_offset, at + node.end_col_offset


def _expression_item(
    tokenized: _Tokenized,
    start: int,
    stop: int,
    *,
    vocabulary: Vocabulary,
    max_seq_len: int,
    rng: random.Random,
) -> dict[str, Any] | None:
    """The item that cuts the expression at bytes [start, stop) before its last tokens."""
    text = tokenized.document.text.encode()
    ends = np.cumsum(vocabulary.num_bytes[tokenized.ids])  # ends[i]: bytes up to token i, included
    last = bisect.bisect_left(ends, stop)  # the token in which the expression ends
    num_cut = rng.randint(1, MAX_CUT_TOKENS)
    cut = last + 1 - num_cut  # tokens[:cut] stand in the prompt
    at = int(ends[cut - 1])
    if not start < at < stop or stop - start > MAX_EXPRESSION_BYTES:
        return None
    max_new_tokens = num_cut + EXTRA_NEW_TOKENS
    first = _line_start(tokenized, ends, max(1, cut - (max_seq_len - max_new_tokens - 1)), cut)
    prompt = vocabulary.decode(tokenized.ids[first:cut])
    prefix, reference = text[start:at], text[at:stop]
    try:
        expected = repr(_value(prefix + reference))
        prompt_text, prefix_text = prompt.decode(), prefix.decode()
    except (NotClosed, UnicodeDecodeError):
        return None
    if first == cut or _has_value(prefix, expected):
        return None
    return {
        "document": tokenized.document.id,
        "prompt": [vocabulary.bos, *tokenized.ids[first:cut]],
        "prompt_text": prompt_text,
        "expression_prefix": prefix_text,
        "expected": expected,
        "reference": reference.decode(),
        "max_new_tokens": max_new_tokens,
    }


def _line_start(tokenized: _Tokenized, ends: np.ndarray, first: int, cut: int) -> int:
    """The first token at or after `first` that begins a line, or with a line's end; else `cut`."""
    text = tokenized.document.text.encode()
    for index in range(first, cut):
        at = int(ends[index - 1])
        if at == 0 or b"\n" in (text[at - 1 : at], text[at : at + 1]):
            return index
    return cut


def _value(text: bytes) -> Any:
    try:
        return value_of(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise NotClosed("not an expression of its own") from error


def _has_value(prefix: bytes, expected: str) -> bool:
    """Whether the prompt alone would be right."""
    try:
        return repr(_value(prefix)) == expected
    except NotClosed:
        return False


def _held_out(
    config: StudyConfig, data_dir: Path, source: str, tokenizer: Tokenizer
) -> list[_Tokenized]:
    documents = read_documents(documents_directory(data_dir, source), "validation")
    chosen = list(islice(documents, MAX_DOCUMENTS))
    ids = encode(tokenizer, [document.text for document in chosen], config.data.tokenizer)
    return [_Tokenized(document, tokens) for document, tokens in zip(chosen, ids, strict=True)]


def _write(items: Mapping[str, list[dict[str, Any]]], directory: Path) -> dict[str, dict[str, Any]]:
    """One file a task, its items in random order and no more than `MAX_ITEMS`."""
    manifest = {}
    with atomic_directory(directory) as partial:
        for task, found in items.items():
            chosen = random.Random(task).sample(found, min(len(found), MAX_ITEMS))
            lines = [
                json.dumps({"id": f"{task}/{number:05d}", **item}) + "\n"
                for number, item in enumerate(chosen)
            ]
            data = "".join(lines).encode()
            (partial / f"{task}.jsonl").write_bytes(data)
            manifest[task] = {
                "num_items": len(chosen),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        text = json.dumps(manifest, indent=1)
        (partial / "manifest.json").write_text(text, encoding="utf-8")
    return manifest
