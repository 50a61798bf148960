"""The ids are those of the library, whatever the text; only the time differs."""

import json
import random
import threading

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, pre_tokenizers

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.rendering import MARKERS
from codepretrain.data.tokenization import encoder
from codepretrain.data.tokenization.encoder import DocumentEncoder, splitter_of
from codepretrain.data.tokenization.tokenizer import pieces, special_ids, train_tokenizer

CONFIG = TokenizerConfig(vocab_size=700)
_PROSE = "It's the naïve reader's 1st 12.5% — they'll say “don't”, won't they?\r\n\r\n\t  "
_CODE = (
    "def f(x_1, *args):\n    return {'a': x_1 ** 2,  }  # 東京\n\n\n        if x<=10:\n\t\tpass\n"
)

ALPHABETS = {
    "ASCII": [chr(i) for i in range(128)],
    "white space": [*" \n\t\r\x0b\x0c\x1c\x1f" * 3, *"ab'1 9._-s(", "'ll", "'re"],
    "markers": [*MARKERS, *MARKERS, *"<>a1 \n._é", "<commit_", "msg>", "<bos>"],
    "long runs": ["a" * 63, " " * 255, "=" * 63, "\n" * 9, "\r\n" * 130, *"ab \n\t=1é"],
    "Unicode": [
        *" \n\t\r" * 4,
        *"ab'19._-s(",
        *"éßñ東京本’‘\u00a0\u3000\u2028\u0085\u0660½\u0301😀\u200b\ufeff",
        *("'s", "'t", "don't", "’s", "\U0001f1e6\U0001f1e7", "\u1c89", "\U00010d4a"),
    ],
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rng = random.Random(0)
    words = (_PROSE + _CODE).split(" ")
    texts = [_PROSE, _CODE] * 50 + [" ".join(rng.choices(words, k=50)) for _ in range(200)]
    tokenizer = train_tokenizer(texts, CONFIG)
    tokenizer.encode_special_tokens = True
    return tokenizer


def as_gpt2(tokenizer: Tokenizer) -> Tokenizer:
    """Returns the tokenizer with GPT-2's words and without markers."""
    value = json.loads(tokenizer.to_str())
    value["added_tokens"] = [token for token in value["added_tokens"] if token["special"]]
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.encode_special_tokens = True
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tokenizer


def texts_of(alphabet: list[str], num_texts: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(alphabet, k=rng.randint(0, 60))) for _ in range(num_texts)]


def expected_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    bos, eos = special_ids(tokenizer, CONFIG)
    encodings = tokenizer.encode_batch(list(pieces(text)), add_special_tokens=False)
    return [bos, *(token for encoding in encodings for token in encoding.ids), eos]


def check(tokenizer: Tokenizer, texts: list[str], *rounds: list[np.ndarray]) -> None:
    for text, *found in zip(texts, *rounds, strict=True):
        expected = expected_ids(tokenizer, text)
        for ids in found:
            assert ids.dtype == np.int32
            assert ids.tolist() == expected, repr(text)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("kind", ["own", "GPT-2"])
def test_random_texts(tokenizer, alphabet: str, kind: str) -> None:
    if kind == "GPT-2":
        tokenizer = as_gpt2(tokenizer)
    assert splitter_of(tokenizer) is not None
    texts = texts_of(ALPHABETS[alphabet], 4000, seed=len(alphabet))
    own = DocumentEncoder(tokenizer, CONFIG)
    check(tokenizer, texts, own.encode(texts), own.encode(texts))  # new words, then known ones


def test_words_over_the_limits(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts in pieces, words too long to keep, and more words than are kept."""
    texts = [
        *(text for alphabet in ALPHABETS.values() for text in texts_of(alphabet, 300, seed=9)),
        "a" * 500 + " " + "b" * 300,
        (_PROSE + _CODE) * 20,
        "東京" * 200,
        "",
    ]
    monkeypatch.setattr(encoder, "_GROUP_CHARACTERS", 100)
    monkeypatch.setattr(encoder, "_MAX_WORD_CHARACTERS", 3)
    monkeypatch.setattr(encoder, "_MAX_WORDS", 50)
    own = DocumentEncoder(tokenizer, CONFIG)
    check(tokenizer, texts, own.encode(texts))
    assert len(own._known) <= 50 + 100, "at most those of a group beyond the limit"


def test_special_tokens_in_a_text_are_text(tokenizer) -> None:
    texts = ["a <bos> b<eos>", "<pad>"]
    check(tokenizer, texts, DocumentEncoder(tokenizer, CONFIG).encode(texts))


@pytest.mark.parametrize("other", ["pre-tokenizer", "added token"])
def test_other_tokenizers_are_left_to_the_library(tokenizer, other: str, monkeypatch) -> None:
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.encode_special_tokens = True
    if other == "added token":
        tokenizer.add_tokens([AddedToken("re turn"), AddedToken("er's 1")])
    else:
        steps = [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    assert splitter_of(tokenizer) is None
    texts = ["re turn " + _PROSE, _CODE, *texts_of(ALPHABETS["Unicode"], 200, seed=1)]
    check(tokenizer, texts, DocumentEncoder(tokenizer, CONFIG).encode(texts))
    # in a worker process, one text a call
    monkeypatch.setattr(encoder.multiprocessing, "parent_process", lambda: object())
    check(tokenizer, texts, DocumentEncoder(tokenizer, CONFIG).encode(texts))


def test_threads_share_an_encoder(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one forgets its words, another may be looking them up."""
    monkeypatch.setattr(encoder, "_MAX_WORDS", 20)
    own = DocumentEncoder(tokenizer, CONFIG)
    texts = [texts_of(ALPHABETS["ASCII"], 300, seed) for seed in range(4)]
    found: dict[int, list[np.ndarray]] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: own.encode(texts[i])}))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, some in enumerate(texts):
        check(tokenizer, some, found[i])
