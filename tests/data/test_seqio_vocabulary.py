import pytest

from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path


@pytest.fixture
def vocabulary(prepared_data) -> ByteLevelBPE:
    return ByteLevelBPE(tokenizer_path(prepared_data.data_dir), prepared_data.config.data.tokenizer)


def test_vocabulary_in_python_and_in_tensorflow(vocabulary) -> None:
    import tensorflow as tf

    text = "the naïve  fox\n 東京 <eos>"
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ids
    assert vocabulary.decode_tf(tf.constant(ids)).numpy().decode() == text
    pair = tf.constant([[*ids, 2, ids[0]], [ids[0]] * (len(ids) + 2)])
    assert vocabulary.decode_tf(pair).numpy()[0].decode() == text, "stops at eos"
    assert (vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id) == (0, 1, 2)
    assert vocabulary.unk_id is None


def test_vocabulary_equals_one_of_the_same_file(vocabulary, prepared_data, tmp_path) -> None:
    assert vocabulary.vocab_size == len(load_vocabulary(prepared_data.data_dir))
    copy = tmp_path / "copy.json"
    copy.write_bytes(vocabulary.path.read_bytes())
    same = ByteLevelBPE(copy, vocabulary.config)
    assert vocabulary == same
    assert hash(vocabulary) == hash(same)
    copy.write_bytes(vocabulary.path.read_bytes() + b"\n")
    assert vocabulary != same
