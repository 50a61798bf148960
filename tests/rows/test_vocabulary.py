import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.rows.vocabulary import Vocabulary, load_vocabulary, vocabulary_path

PIECES = [b"", b"", b"", b"a", b"\xc3", b"\xa9t"]


@pytest.fixture
def data_dir(tmp_path):
    vocabulary_path(tmp_path).parent.mkdir()
    Vocabulary(PIECES, bos=1, eos=2, pad=0).save(vocabulary_path(tmp_path))
    return tmp_path


def test_decode_joins_bytes_and_specials_stand_for_none(data_dir) -> None:
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


def test_errors_say_what_to_do(data_dir, tmp_path_factory) -> None:
    with pytest.raises(UserError, match=r"has 6 entries, more than model.vocab_size = 5"):
        load_vocabulary(data_dir, vocab_size=5)
    with pytest.raises(UserError, match=r"no vocabulary at .*codepretrain prepare"):
        load_vocabulary(tmp_path_factory.mktemp("empty"))
    vocabulary_path(data_dir).write_text('{"format_version": 1, "token_bytes": ["zz"]}')
    with pytest.raises(UserError, match="damaged vocabulary"):
        load_vocabulary(data_dir)
