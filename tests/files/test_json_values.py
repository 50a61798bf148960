"""Numbers come back as they were written."""

import math

import numpy as np
import pytest

from codepretrain.config.schema import ContrastConfig
from codepretrain.files.json_values import decode, encode, plain


def test_every_float_comes_back() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**63, 1000, np.uint64).view(np.float64)
    record = {str(i): float(v) for i, v in enumerate(values) if not math.isnan(v)}
    assert decode(encode(record)) == record
    single = {"x": np.float32(1) / np.float32(3)}
    assert np.float32(decode(encode(single))["x"]) == single["x"]


def test_numbers_that_json_lacks() -> None:
    assert (
        encode({"a": [math.inf, -math.inf, math.nan]}) == '{"a": ["Infinity", "-Infinity", "NaN"]}'
    )
    back = decode('{"a": ["Infinity", "-Infinity", "NaN"]}')["a"]
    assert back[:2] == [math.inf, -math.inf]
    assert math.isnan(back[2])


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "text:NaN", "text:text:Infinity", "text:x"])
def test_texts_that_look_like_numbers_come_back(text: str) -> None:
    """A model may write one, and nothing else."""
    record = {"completion": text, "ids": [text, {"id": text}], "loss": math.inf}
    assert decode(encode(record)) == record


def test_what_is_no_value() -> None:
    with pytest.raises(TypeError, match="cannot write set"):
        plain({"a": {1, 2}})


@pytest.mark.parametrize("line", ["", "1", "[1]", "null", '{"a": 1', "[" * 100_000])
def test_what_is_no_object(line: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode(line)


def test_a_dataclass_is_an_object_of_its_fields():
    contrast = ContrastConfig(metric="quiz", direction="lower", variants=("a", "b"))
    found = plain({"contrast": contrast})["contrast"]
    assert (found["metric"], found["variants"], found["weights"]) == ("quiz", ["a", "b"], {})
