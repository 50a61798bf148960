"""Readers by name (`codepretrain/data/readers/__init__.py`)."""

import pickle

import pytest

from codepretrain.data.readers import READERS
from codepretrain.errors import UserError
from tests.data.readers.reading import reader


def test_unknown_readers_and_options_are_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sources.s.reader: no reader named 'jsonlines'; did you"):
        reader("jsonlines")
    with pytest.raises(UserError, match=r"options.max_byte: no such field; did you mean max_bytes"):
        reader("python_code", max_byte=1)
    with pytest.raises(UserError, match=r"options.max_bytes: expected a whole number.*'much'"):
        reader("python_code", max_bytes="much")
    with pytest.raises(UserError, match=r"options.path is missing: expected text"):
        reader("folder")


@pytest.mark.parametrize("name", ["python_code", "python_prose"])
def test_shards_are_stable_and_can_be_sent_to_processes(name) -> None:
    made = reader(name)
    shards = made.shards()
    assert pickle.loads(pickle.dumps((made, shards[0]))) == (made, shards[0])
    assert shards == reader(name).shards()
    assert name in READERS
