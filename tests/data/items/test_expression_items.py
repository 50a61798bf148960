import random

import pytest

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.document import Document
from codepretrain.data.items.expression_items import EXTRA_NEW_TOKENS, expression_items
from codepretrain.data.items.held_out import HeldOut
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.rows.vocabulary import load_vocabulary

CONFIG = TokenizerConfig(vocab_size=269)  # bytes alone: the tokens of a text are plain to see
CODE = """\
import os

def f(x):
    sizes = [12, 345]
    return g(x, 3 * (4 + 5), {'é': 'naïve'})

MANY = [
    'one',
    'two',
]
SUM = 20 + 15
NAME = 'constant'
"""


@pytest.fixture
def make(tmp_path):
    tokenizer = train_tokenizer(["a"], CONFIG)
    save_tokenizer(tokenizer, CONFIG, tmp_path)
    vocabulary = load_vocabulary(tmp_path)

    def build(code: str, language: str = "python") -> HeldOut:
        document = Document(id="d", text=code, source="s", origin="o", language=language)
        return HeldOut(
            document, DocumentEncoder(tokenizer, CONFIG).encode([code])[0].tolist(), vocabulary
        )

    return build


def all_items(documents, max_seq_len: int = 512):
    """Items of many draws, so that every cut is seen."""
    return [
        item
        for seed in range(40)
        for item in expression_items(documents, max_seq_len=max_seq_len, rng=random.Random(seed))
    ]


def test_items_by_hand(make) -> None:
    held_out = make(CODE)
    items = all_items([held_out])
    seen = {(item["expression_prefix"] + item["reference"], item["expected"]) for item in items}
    assert seen == {
        ("[12, 345]", "[12, 345]"),
        ("3 * (4 + 5)", "27"),
        ("{'é': 'naïve'}", "{'é': 'naïve'}"),
        ("[\n    'one',\n    'two',\n]", "['one', 'two']"),
        ("20 + 15", "35"),
    }
    assert {i["expression_prefix"] for i in items if i["expected"] == "35"} == {"20 + 1"}, (
        "cut before the 1, the completion would end after it"
    )
    for item in items:
        assert item["prompt_text"] == CODE[: len(item["prompt_text"])]
        assert item["prompt_text"].endswith(item["expression_prefix"])
        assert CODE.startswith(item["prompt_text"] + item["reference"])
        assert held_out.vocabulary.decode(item["prompt"]).decode() == item["prompt_text"]
        assert item["prompt"][0] == held_out.vocabulary.bos
        assert repr(eval(item["expression_prefix"] + item["reference"])) == item["expected"]
        num_cut = item["max_new_tokens"] - EXTRA_NEW_TOKENS
        assert len(item["reference"].encode()) == num_cut <= 3
        assert "\n" not in item["reference"]


def test_what_closing_brackets_and_quotes_solves(make) -> None:
    """Cut after `345` or `'naïve`, it is right; after `34` or within the name it is not."""
    found = {
        item["expression_prefix"]: item["closing_is_right"] for item in all_items([make(CODE)])
    }
    assert found["[12, 345"]
    assert found["{'é': 'naïve'"]
    assert found["{'é': 'naïve"]
    assert not found["[12, 34"]
    assert not found["20 + 1"]
    assert found["[\n    'one',\n    'two',\n"] or found["[\n    'one',\n    'two',"]


def test_no_item_is_solved_by_its_prompt_or_cut_short(make) -> None:
    items = all_items([make("a = 20 + 15\nb = ('x')\nc = (1)\nd = [0][0]\ne = 0 + 0.0\n")])
    for item in items:
        for stop in range(1, len(item["reference"])):
            with pytest.raises(SyntaxError):
                eval(item["expression_prefix"] + item["reference"][:stop])
    assert {item["expression_prefix"] + item["reference"] for item in items} == {
        "[0][0]",
        "20 + 15",
    }


def test_long_documents_are_cut_at_a_line(make) -> None:
    code = "x = 1\n" * 50 + "y = [12, 345]\n"
    for item in all_items([make(code)], max_seq_len=64):
        assert len(item["prompt"]) + item["max_new_tokens"] <= 64
        assert item["prompt_text"].lstrip("\n").startswith("x = 1\n")


def test_each_expression_once_and_python_only(make) -> None:
    code = "a = [1, 2]\nb = [1, 2]\n"
    one = expression_items([make(code), make(code)], max_seq_len=64, rng=random.Random(1))
    assert len(one) <= 1
    assert not all_items([make("a = [1, 2]\n", language="markdown"), make("a = [1, 2\n")])
