import json
import subprocess
import sys

import numpy as np
import pytest

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.rendering import (
    MARKER,
    MARKERS,
    Cell,
    Comment,
    render_commit,
    render_issue,
    render_notebook,
)
from codepretrain.data.tokenization import encoder as encoder_module
from codepretrain.data.tokenization import tokenizer as tokenizer_module
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import (
    copy_tokenizer,
    load_tokenizer,
    pieces,
    save_tokenizer,
    special_ids,
    train_tokenizer,
)
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_file
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

CONFIG = TokenizerConfig(vocab_size=320)
TEXTS = [
    "def add(a, b):\n    return a + b\n",
    "the return of the naïve 東京",
    "12345 12345",
    "".join(map(chr, range(97, 123))),
] * 5
HARD = [
    "",
    " leading and trailing \n\n",
    "\r\n\ttabs",
    "é" * 3,
    "e\u0301 not composed",
    "\x00\x7f\x85\u2028",
    "𝔘𝔫𝔦 🙂",
    "<bos>a<eos><pad>",
    "a<commit_msg> <jupyter_code>\n<issue_closed",
    "".join(chr(c) for c in range(0x20, 0x180)),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    save_tokenizer(train_tokenizer(TEXTS, CONFIG), CONFIG, path)
    return path


def test_ids_are_specials_then_markers_then_bytes_then_merges(data_dir) -> None:
    tokenizer = load_tokenizer(tokenizer_path(data_dir), CONFIG)
    vocabulary = load_vocabulary(data_dir)
    assert [tokenizer.id_to_token(i) for i in range(3)] == ["<pad>", "<bos>", "<eos>"]
    assert special_ids(tokenizer, CONFIG) == (1, 2)
    assert vocabulary.token_bytes[:3] == (b"", b"", b"")
    assert vocabulary.token_bytes[3:13] == tuple(marker.encode() for marker in MARKERS)
    assert sorted(vocabulary.token_bytes[13:269]) == [bytes([byte]) for byte in range(256)]
    assert len(vocabulary) == tokenizer.get_vocab_size() == 320
    assert min(len(text) for text in vocabulary.token_bytes[269:]) > 1


@pytest.mark.parametrize("text", TEXTS[:3] + HARD)
def test_it_is_lossless_and_specials_in_a_text_are_text(data_dir, text) -> None:
    tokenizer, vocabulary = (
        load_tokenizer(tokenizer_path(data_dir), CONFIG),
        load_vocabulary(data_dir),
    )
    (ids,) = DocumentEncoder(tokenizer, CONFIG).encode([text])
    assert (ids[0], ids[-1]) == (1, 2)
    assert not {0, 1, 2} & set(ids[1:-1])
    assert vocabulary.decode(ids) == text.encode()
    assert vocabulary.num_bytes[ids].sum() == len(text.encode())
    assert tokenizer.decode(ids.tolist()) == text


def words(text: str) -> list[str]:
    """Returns the words of a text, by a tokenizer that knows no merges."""
    tokenizer = train_tokenizer([], TokenizerConfig(vocab_size=269))
    found = tokenizer.pre_tokenizer.pre_tokenize_str(text)
    encoded = text.encode()
    assert sum(len(word) for word, _ in found) == len(encoded), "a character is a byte"
    return [text[start:stop] for _, (start, stop) in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345", ["1", "2", "3", "4", "5"]),
        ("x = 10", ["x", " =", " ", "1", "0"]),
        ("    42", ["    ", "4", "2"]),
        ("    return x", ["   ", " return", " x"]),
        ("\t\treturn", ["\t", "\treturn"]),
        ("a\n\n        b", ["a", "\n\n       ", " b"]),
        ("a\n\nb \n", ["a", "\n\n", "b", " \n"]),
        ("if x:\n    y()\n", ["if", " x", ":\n", "   ", " y", "()\n"]),
        ("snake_case.name", ["snake", "_case", ".name"]),
        ("don't", ["don", "'t"]),
        ("हिन्दी e\u0301a", ["हिन्दी", " e\u0301a"]),
        ("  ", ["  "]),
    ],
)
def test_words(text, expected) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("character", ["a", "東", "=", " ", "\n", "7", "\u0301"])
def test_words_are_bounded(character) -> None:
    found = words(character * 2000)
    assert "".join(found) == character * 2000
    assert max(map(len, found)) <= 256


def test_frequent_runs_of_white_space_become_tokens() -> None:
    lines = [f"x\n{' ' * indent}y" for indent in (4, 8, 12, 16)] + ["f():\n\n\tz"]
    tokenizer = train_tokenizer(lines * 20, TokenizerConfig(vocab_size=400))
    for indent in (4, 8, 12, 16):
        tokens = tokenizer.encode(f"x\n{' ' * indent}y", add_special_tokens=False).tokens
        assert tokens == ["x", "Ċ" + "Ġ" * (indent - 1), "Ġy"]
    tokens = tokenizer.encode("f():\n\n\tz", add_special_tokens=False).tokens
    assert tokens == ["f", "():ĊĊ", "ĉz"]


RENDERED = [
    render_notebook([Cell(False, "# Sums"), Cell(True, "1 + 1", "2")]),
    render_commit(before="x = 1\n", message="Raise x", after="x = 2\n"),
    render_issue("Crash", [Comment("ann", "It fails."), Comment("bob", "Yes.")], is_closed=True),
]


@pytest.mark.parametrize("text", RENDERED)
def test_markers_of_rendered_documents_are_single_tokens(data_dir, text) -> None:
    tokenizer = load_tokenizer(tokenizer_path(data_dir), CONFIG)
    vocabulary = load_vocabulary(data_dir)
    (ids,) = DocumentEncoder(tokenizer, CONFIG).encode([text])
    found = [MARKERS[index - 3] for index in ids.tolist() if 3 <= index < 13]
    assert found == MARKER.findall(text)
    assert len(found) >= 3
    assert vocabulary.decode(ids) == text.encode()


def test_markers_are_no_part_of_what_is_learned() -> None:
    settings = TokenizerConfig(vocab_size=10_000)
    with_markers = train_tokenizer(RENDERED * 9, settings)
    parts = [part for text in RENDERED for part in MARKER.split(text)] * 9
    assert with_markers.to_str() == train_tokenizer(parts, settings).to_str()


def test_long_texts_are_tokenized_in_pieces(data_dir, monkeypatch) -> None:
    monkeypatch.setattr(tokenizer_module, "_PIECE_CHARACTERS", 20)
    monkeypatch.setattr(encoder_module, "_GROUP_CHARACTERS", 50)
    text = "line number one\nline two is long\n" + "x" * 45 + "é\n"
    assert list(pieces(text)) == [
        "line number one\n",
        "line two is long\n",
        "x" * 20,
        "x" * 20,
        "x" * 5 + "é\n",
    ]
    assert list(pieces("")) == [""]
    tokenizer, vocabulary = (
        load_tokenizer(tokenizer_path(data_dir), CONFIG),
        load_vocabulary(data_dir),
    )
    texts = ["short", text, "", text * 3]
    for original, ids in zip(texts, DocumentEncoder(tokenizer, CONFIG).encode(texts), strict=True):
        assert vocabulary.decode(ids) == original.encode()
        assert (ids[0], ids[-1], ids.dtype) == (1, 2, np.int32)


def test_training_is_deterministic_across_processes(data_dir, tmp_path) -> None:
    program = (
        "import json, sys; from pathlib import Path\n"
        "from codepretrain.config.schema import TokenizerConfig\n"
        "from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer\n"
        "config = TokenizerConfig(vocab_size=320)\n"
        "texts = json.load(sys.stdin)\n"
        "save_tokenizer(train_tokenizer(texts, config), config, Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, input=json.dumps(TEXTS), text=True, check=True)
    assert sha256_file(tokenizer_path(tmp_path)) == sha256_file(tokenizer_path(data_dir))


def test_small_vocabularies_are_refused() -> None:
    with pytest.raises(UserError, match=r"vocab_size: expected 269 or more .* found 268"):
        train_tokenizer(TEXTS, TokenizerConfig(vocab_size=268))


def test_copy_takes_every_byte_and_finds_the_special_tokens(data_dir, tmp_path) -> None:
    given = tmp_path / "given.json"
    value = json.loads(tokenizer_path(data_dir).read_text())
    given.write_text(json.dumps(value).replace("<eos>", "</s>"))
    config = TokenizerConfig(vocab_size=320, eos_token="</s>")
    copy_tokenizer(given, config, tmp_path)
    assert tokenizer_path(tmp_path).read_bytes() == given.read_bytes()
    assert load_vocabulary(tmp_path).eos == 2
    with pytest.raises(UserError, match=r"it has no token '<eos>'"):
        load_tokenizer(given, CONFIG)
