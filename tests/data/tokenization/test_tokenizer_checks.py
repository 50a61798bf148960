"""Tokenizers of other makers: which are accepted, and why others are not."""

from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import copy_tokenizer, load_tokenizer
from codepretrain.errors import UserError
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

CONFIG = TokenizerConfig(vocab_size=400)
TEXTS = ["def add(a, b):\n    return a + b\n", "the return of the naïve 東京, 12345 times"] * 5
BYTES = pre.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre.ByteLevel(add_prefix_space=False, use_regex=True)
# As of Llama 3: numbers of up to three digits, and a line break ends a word.
LLAMA3 = pre.Sequence(
    [
        pre.Split(
            Regex(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            ),
            behavior="isolated",
        ),
        BYTES,
    ]
)


def saved(
    path: Path, pre_tokenizer, *, added=(), alphabet=None, special=("<bos>", "<eos>")
) -> Path:
    """Trains a tokenizer and writes it; its special tokens follow the merges, as in Llama 3."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre.ByteLevel.alphabet() if alphabet is None else alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens(list(added))
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("pre_tokenizer", [GPT2, LLAMA3])
@pytest.mark.parametrize("text", [*TEXTS[:2], "<bos>x<mark>y<eos>", " \n\n\tx 1234 ", "é🙂\x00"])
def test_gpt2_and_llama3_are_accepted_and_lossless(tmp_path, pre_tokenizer, text) -> None:
    given = saved(tmp_path / "given.json", pre_tokenizer, added=["<mark>"])
    copy_tokenizer(given, CONFIG, tmp_path)
    tokenizer = load_tokenizer(tokenizer_path(tmp_path), CONFIG)
    vocabulary = load_vocabulary(tmp_path)
    (ids,) = DocumentEncoder(tokenizer, CONFIG).encode([text])
    special = {vocabulary.bos, vocabulary.eos}
    assert (ids[0], ids[-1]) == (vocabulary.bos, vocabulary.eos)
    assert not special & set(ids[1:-1].tolist()), "text that spells a special token is text"
    assert vocabulary.decode(ids) == text.encode()
    assert vocabulary.num_bytes[ids].sum() == len(text.encode())


@pytest.mark.parametrize(
    ("pre_tokenizer", "added", "lost"),
    [
        (pre.Sequence([pre.WhitespaceSplit(), BYTES]), [], r"' a  b, c' represent 'ab,c'"),
        (pre.Sequence([pre.Split(",", "removed"), BYTES]), [], r"represent ' a  b c'"),
        (GPT2, [AddedToken("<mark>", lstrip=True, special=False)], r"'a  <mark>  b' represent"),
        (GPT2, [AddedToken("<mark>", rstrip=True, special=False)], r"represent 'a  <mark>b'"),
    ],
)
def test_tokenizers_that_lose_text_are_refused(tmp_path, pre_tokenizer, added, lost) -> None:
    path = saved(tmp_path / "lossy.json", pre_tokenizer, added=added)
    with pytest.raises(UserError, match=r"cannot be used: it loses text: the ids of .*represent"):
        load_tokenizer(path, CONFIG)
    with pytest.raises(UserError, match=lost):
        load_tokenizer(path, CONFIG)


def test_a_tokenizer_without_an_entry_for_every_byte_is_refused(tmp_path) -> None:
    alphabet = sorted(pre.ByteLevel.alphabet())[:-30]
    with pytest.raises(UserError, match="it loses text"):
        load_tokenizer(saved(tmp_path / "part.json", GPT2, alphabet=alphabet), CONFIG)


def test_unsuitable_tokenizers_are_refused(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"tokenizer.path: there is no file"):
        load_tokenizer(path, CONFIG)
    path.write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer"):
        load_tokenizer(path, CONFIG)
    tokenizer = Tokenizer.from_file(str(saved(path, GPT2)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre.ByteLevel(add_prefix_space=True)
    tokenizer.save(str(path))
    with pytest.raises(UserError, match=r"normalizer NFC alters the text; it adds a space"):
        load_tokenizer(path, CONFIG)
    with pytest.raises(UserError, match=r"it has 302 entries, .*vocab_size is 301"):
        load_tokenizer(saved(path, GPT2), TokenizerConfig(vocab_size=301))
    with pytest.raises(UserError, match=r"it has no token '<bos>': set config"):
        load_tokenizer(saved(path, GPT2, special=["<eos>"]), CONFIG)
    with pytest.raises(UserError, match=r"its token '<bos>' is not a special one"):
        load_tokenizer(saved(path, GPT2, special=["<eos>"], added=["<bos>"]), CONFIG)
    Tokenizer(models.WordLevel({"<bos>": 0, "<eos>": 1}, "<bos>")).save(str(path))
    with pytest.raises(UserError, match="expected a byte-level BPE"):
        load_tokenizer(path, CONFIG)
