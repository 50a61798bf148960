"""Pairs of context and continuation as token ids, as the harness's `hf` backend encodes them.

The exported model's tokenizer puts bos before a text (`interop/tokenizer_files.py`), so bos starts
every context here. White space at the end of a context belongs to the continuation, whose tokens
are those of the whole text after as many as the context has alone:

    context "The sky is "    continuation "blue"
    whole   [bos, The, ·sky, ·is, ·blue]
    context [bos, The, ·sky, ·is]              continuation [·blue]

Where the continuation's text is part of the context's last token, no tokens are left for it; `hf`
cannot score such a pair. Here both are then encoded apart: "f(" and "x" where "(x" is one token.
"""

from collections.abc import Sequence

from codepretrain.evals.harness.tokenizer import TextTokenizer

Pair = tuple[list[int], list[int]]


def encode_pairs(
    tokenizer: TextTokenizer, contexts: Sequence[str], continuations: Sequence[str]
) -> list[Pair]:
    """Returns the ids of each context, with bos, and of its continuation."""
    moved = [_with_white_space(c, t) for c, t in zip(contexts, continuations, strict=True)]
    wholes = tokenizer.encode_all(context + continuation for context, continuation in moved)
    alone = _encode_distinct(tokenizer, [context for context, _ in moved])
    return [
        ([tokenizer.bos, *context], whole[len(context) :] or tokenizer.encode(continuation))
        for context, whole, (_, continuation) in zip(alone, wholes, moved, strict=True)
    ]


def encode_prompts(tokenizer: TextTokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """Returns the ids of texts to go on with: bos first, no eos."""
    return [[tokenizer.bos, *ids] for ids in _encode_distinct(tokenizer, prompts)]


def _with_white_space(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _encode_distinct(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Returns the ids of each text; encodes a text that occurs several times once."""
    distinct = list(dict.fromkeys(texts))
    ids = dict(zip(distinct, tokenizer.encode_all(distinct), strict=True))
    return [ids[text] for text in texts]
