import json
import subprocess
import sys

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.tokenizer import (
    copy_tokenizer,
    encode,
    load_tokenizer,
    save_tokenizer,
    special_ids,
    train_tokenizer,
)
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_file
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

CONFIG = TokenizerConfig(vocab_size=290)
TEXTS = ["def add(a, b):\n    return a + b\n", "the return of the naïve 東京", "12345 12345"] * 5
HARD = [
    "",
    " leading and trailing \n\n",
    "\r\n\ttabs",
    "é" * 3,
    "e\u0301 not composed",
    "\x00\x7f\x85\u2028",
    "𝔘𝔫𝔦 🙂",
    "<bos>a<eos><pad>",
    "".join(chr(c) for c in range(0x20, 0x180)),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    save_tokenizer(train_tokenizer(TEXTS, CONFIG), CONFIG, path)
    return path


def test_ids_are_specials_then_bytes_then_merges(data_dir) -> None:
    tokenizer = load_tokenizer(tokenizer_path(data_dir), CONFIG)
    vocabulary = load_vocabulary(data_dir)
    assert [tokenizer.id_to_token(i) for i in range(3)] == ["<pad>", "<bos>", "<eos>"]
    assert special_ids(tokenizer, CONFIG) == (1, 2)
    assert sorted(vocabulary.token_bytes[3:259]) == [bytes([byte]) for byte in range(256)]
    assert len(vocabulary) == tokenizer.get_vocab_size() == 290
    assert min(len(text) for text in vocabulary.token_bytes[259:]) > 1


@pytest.mark.parametrize("text", TEXTS[:3] + HARD)
def test_it_is_lossless_and_specials_in_a_text_are_text(data_dir, text) -> None:
    tokenizer, vocabulary = (
        load_tokenizer(tokenizer_path(data_dir), CONFIG),
        load_vocabulary(data_dir),
    )
    (ids,) = encode(tokenizer, [text], CONFIG)
    assert (ids[0], ids[-1]) == (1, 2)
    assert not {0, 1, 2} & set(ids[1:-1])
    assert vocabulary.decode(ids) == text.encode()
    assert tokenizer.decode(ids.tolist()) == text


def test_digits_stand_alone(data_dir) -> None:
    tokenizer = load_tokenizer(tokenizer_path(data_dir), CONFIG)
    token_bytes = tokenizer.encode("12345", add_special_tokens=False).tokens
    assert token_bytes == ["1", "2", "3", "4", "5"]


def test_training_is_deterministic_across_processes(data_dir, tmp_path) -> None:
    program = (
        "import json, sys; from pathlib import Path\n"
        "from codepretrain.config.schema import TokenizerConfig\n"
        "from codepretrain.data.tokenizer import save_tokenizer, train_tokenizer\n"
        "config = TokenizerConfig(vocab_size=290)\n"
        "texts = json.load(sys.stdin)\n"
        "save_tokenizer(train_tokenizer(texts, config), config, Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, input=json.dumps(TEXTS), text=True, check=True)
    assert sha256_file(tokenizer_path(tmp_path)) == sha256_file(tokenizer_path(data_dir))


def test_small_vocabularies_are_refused() -> None:
    with pytest.raises(UserError, match=r"vocab_size: expected 259 or more .* found 100"):
        train_tokenizer(TEXTS, TokenizerConfig(vocab_size=100))


def test_copy_takes_every_byte_and_finds_the_special_tokens(data_dir, tmp_path) -> None:
    given = tmp_path / "given.json"
    value = json.loads(tokenizer_path(data_dir).read_text())
    given.write_text(json.dumps(value).replace("<eos>", "</s>"))
    config = TokenizerConfig(vocab_size=290, eos_token="</s>")
    copy_tokenizer(given, config, tmp_path)
    assert tokenizer_path(tmp_path).read_bytes() == given.read_bytes()
    assert load_vocabulary(tmp_path).eos == 2
    with pytest.raises(UserError, match=r"it has no token '<eos>'"):
        load_tokenizer(given, CONFIG)


def test_unsuitable_tokenizers_are_refused(data_dir, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"tokenizer.path: there is no file"):
        load_tokenizer(path, CONFIG)
    path.write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer"):
        load_tokenizer(path, CONFIG)
    tokenizer = Tokenizer.from_file(str(tokenizer_path(data_dir)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.save(str(path))
    with pytest.raises(UserError, match=r"normalizer NFC alters the text; it adds a space"):
        load_tokenizer(path, CONFIG)
    with pytest.raises(UserError, match=r"it has 290 entries, .*vocab_size is 289"):
        load_tokenizer(tokenizer_path(data_dir), TokenizerConfig(vocab_size=289))
    Tokenizer(models.WordLevel({"<bos>": 0, "<eos>": 1}, "<bos>")).save(str(path))
    with pytest.raises(UserError, match="expected a byte-level BPE"):
        load_tokenizer(path, CONFIG)
