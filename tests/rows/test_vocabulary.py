import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.hashing import sha256_bytes, sha256_file
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import remove_tree
from codepretrain.rows.vocabulary import (
    TOKENIZER,
    VOCABULARY,
    Vocabulary,
    has_tokenizer,
    load_vocabulary,
    tokenizer_directory,
    tokenizer_hashes,
    vocabulary_path,
)

TOKEN_BYTES = [b"", b"", b"", b"a", b"\xc3", b"\xa9t"]


def write(data_dir, save) -> None:
    with whole_directory(tokenizer_directory(data_dir)) as folder:
        (folder / TOKENIZER).write_text("{}")
        save(folder / VOCABULARY)


@pytest.fixture
def data_dir(tmp_path):
    write(tmp_path, lambda path: Vocabulary(TOKEN_BYTES, bos=1, eos=2, pad=0).save(path))
    return tmp_path


def test_decode_joins_bytes_and_specials_have_none(data_dir) -> None:
    vocabulary = load_vocabulary(data_dir)
    assert vocabulary.decode([1, 3, 4, 5, 2]) == "aét".encode()
    assert vocabulary.decode([4]) == b"\xc3"
    assert vocabulary.num_bytes.dtype == np.int32
    assert vocabulary.num_bytes.tolist() == [0, 0, 0, 1, 1, 2]
    assert (vocabulary.bos, vocabulary.eos, vocabulary.pad) == (1, 2, 0)


def test_vocabulary_is_filled_up_to_the_models(data_dir) -> None:
    vocabulary = load_vocabulary(data_dir, vocab_size=8)
    assert len(vocabulary) == 8
    assert vocabulary.decode([7, 3]) == b"a"


def test_the_hashes_are_those_of_the_files(data_dir) -> None:
    expected = (sha256_bytes(b"{}"), sha256_file(vocabulary_path(data_dir)))
    assert tokenizer_hashes(data_dir) == expected


def test_errors_say_what_to_do(data_dir, tmp_path_factory) -> None:
    message = r"config.model.vocab_size is 5, but the tokenizer at .* has 6 entries: raise"
    with pytest.raises(UserError, match=message):
        load_vocabulary(data_dir, vocab_size=5)
    empty = tmp_path_factory.mktemp("empty")
    assert has_tokenizer(data_dir)
    assert not has_tokenizer(empty)
    with pytest.raises(UserError, match=r"no tokenizer at .*codepretrain prepare"):
        load_vocabulary(empty)


def test_reversed_entries_are_noticed(data_dir) -> None:
    """Also where somebody sealed them again: the directory knows the file by its hash."""
    path = vocabulary_path(data_dir)
    Vocabulary([*TOKEN_BYTES[:3], *TOKEN_BYTES[:2:-1]], bos=1, eos=2, pad=0).save(path)
    with pytest.raises(UserError, match=r"vocabulary.json was altered"):
        load_vocabulary(data_dir)


GOOD = {"format_version": 1, "bos": 1, "eos": 2, "pad": 0, "token_bytes": ["", "", "", "61"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format 2, this version reads 1"),
        ({"token_bytes": ["zz"]}, "non-hexadecimal"),
        ({"token_bytes": None}, "not iterable"),
        ({"bos": 3}, "bos is 3, expected an id without text"),
        ({"eos": 9}, "eos is 9, expected an id below 4"),
        ({"pad": -1}, "pad is -1, expected an id below 4"),
        ({"pad": "x"}, "invalid literal"),
    ],
)
def test_what_is_no_vocabulary_is_named(data_dir, changes, message) -> None:
    remove_tree(tokenizer_directory(data_dir))
    write(data_dir, lambda path: write_sealed(path, GOOD | changes))
    with pytest.raises(UserError, match=rf"damaged vocabulary .*vocabulary.json: .*{message}"):
        load_vocabulary(data_dir)
