"""Generation items: a prompt that ends within a Python expression whose value is known.

The prompt is the document up to the last tokens of an expression. A completion ends where it first
completes the expression that the prompt began; it is right if the expression then has the value
that it has in the document. Expressions whose true completion this rule would cut short are
excluded: `2 + 15`, cut before the 1, is already complete after the 1. An expression that ends with
a bracket or a quote is never cut short.
"""

import ast
import bisect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.data.items.closing import closing
from codepretrain.data.items.expressions import NotClosed, closed_expressions, value_of
from codepretrain.data.items.held_out import HeldOut
from codepretrain.data.python_syntax import parse_expression, parse_module

MAX_ITEMS_PER_DOCUMENT = 16
MAX_CUT_TOKENS = 3  # of the reference
EXTRA_NEW_TOKENS = 8  # that a completion may be longer than the reference
MAX_EXPRESSION_BYTES = 200


@dataclass(frozen=True)
class _Found:
    """An expression at bytes [start, stop) of its document."""

    start: int
    stop: int
    is_container: bool


def expression_items(
    documents: Sequence[HeldOut], *, max_seq_len: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Returns items of one source's Python documents; an expression's text occurs once.

    An item: {document, prompt: [ids], prompt_text, expression_prefix, expected, reference,
    closing_is_right, max_new_tokens}. `expression_prefix` is the part of the expression in the
    prompt, `reference` the rest of it, `expected` the repr of its value. `closing_is_right` says
    whether closing the open brackets and quotes gives that value. Prompt and completion together
    take no more than `max_seq_len` tokens.
    """
    items: list[dict[str, Any]] = []
    seen = set()
    for held_out in documents:
        if held_out.document.language != "python":
            continue
        tree = parse_module(held_out.document.text)
        found = [] if tree is None else list(_expressions(held_out.text, tree))
        rng.shuffle(found)
        found.sort(key=lambda expression: expression.is_container)  # operators and calls are rare
        num_before = len(items)
        for expression in found:
            text = held_out.text[expression.start : expression.stop]
            item = _item(held_out, expression, max_seq_len=max_seq_len, rng=rng)
            if item is not None and text not in seen:
                seen.add(text)
                items.append(item)
            if len(items) - num_before == MAX_ITEMS_PER_DOCUMENT:
                break
    return items


def _expressions(text: bytes, tree: ast.Module) -> Iterator[_Found]:
    lines = text.splitlines(keepends=True)
    line_starts = np.cumsum([0, *(len(line) for line in lines)]).tolist()
    for node in closed_expressions(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = line_starts[node.lineno - 1] + node.col_offset
        stop = line_starts[node.end_lineno - 1] + node.end_col_offset
        if stop - start <= MAX_EXPRESSION_BYTES:
            yield _Found(
                start=start,
                stop=stop,
                is_container=isinstance(node, ast.List | ast.Tuple | ast.Dict),
            )


def _item(
    held_out: HeldOut, found: _Found, *, max_seq_len: int, rng: random.Random
) -> dict[str, Any] | None:
    """Returns the item of one expression, or None if it cannot be used."""
    ends, ids, vocabulary = held_out.ends, held_out.ids, held_out.vocabulary
    num_cut = rng.randint(1, MAX_CUT_TOKENS)
    last = bisect.bisect_left(ends, found.stop)  # the token in which the expression ends
    cut = last + 1 - num_cut  # ids[:cut] are in the prompt
    at = int(ends[cut - 1])
    prefix, reference = held_out.text[found.start : at], held_out.text[at : found.stop]
    if not (found.start < at < found.stop and b"\n" not in reference):
        return None
    max_new_tokens = num_cut + EXTRA_NEW_TOKENS
    first = _line_start(held_out, max(1, cut - (max_seq_len - max_new_tokens - 1)), found.start)
    if first is None:
        return None
    try:
        prompt_text = vocabulary.decode(ids[first:cut]).decode()
        prefix_text, reference_text = prefix.decode(), reference.decode()
    except UnicodeDecodeError:  # the cut is inside a character
        return None
    expected = _value(prefix_text + reference_text)
    if expected is None or expected == _value(
        prefix_text
    ):  # the latter: it is complete without the rest
        return None
    if not _is_first_complete(prefix_text, reference_text):
        return None
    return {
        "document": held_out.document.id,
        "prompt": [vocabulary.bos, *ids[first:cut]],
        "prompt_text": prompt_text,
        "expression_prefix": prefix_text,
        "expected": expected,
        "reference": reference_text,
        "closing_is_right": _value(prefix_text + closing(prefix_text)) == expected,
        "max_new_tokens": max_new_tokens,
    }


def _line_start(held_out: HeldOut, first: int, start: int) -> int | None:
    """Returns the first token, from `first` on and before `start`, at which a line begins.

    The token may also begin with the newline. None if there is no such token.
    """
    text = held_out.text
    for index in range(first, len(held_out.ids)):
        at = int(held_out.ends[index - 1])
        if at > start:
            return None
        if at == 0 or b"\n" in (text[at - 1 : at], text[at : at + 1]):
            return index
    return None


def _is_first_complete(prefix: str, reference: str) -> bool:
    """Returns whether no shorter part of the reference completes the expression."""
    return all(
        parse_expression(prefix + reference[:stop]) is None for stop in range(1, len(reference))
    )


def _value(text: str) -> str | None:
    """Returns the repr of the expression's value, or None if it is not closed."""
    tree = parse_expression(text)
    try:
        return None if tree is None else repr(value_of(tree))
    except NotClosed:
        return None
