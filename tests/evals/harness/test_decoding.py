from typing import Any

import pytest

from codepretrain.evals.harness.decoding import read_decoding
from codepretrain.evals.harness.work import Decoding


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Decoding(max_new_tokens=256)),
        ({"until": "\n"}, Decoding(max_new_tokens=256, stop=("\n",))),
        ({"until": ["\n", "", "."]}, Decoding(max_new_tokens=256, stop=("\n", "."))),
        ({"max_new_tokens": 9, "max_gen_toks": 5}, Decoding(max_new_tokens=5)),
        ({"max_tokens": 7, "num_beams": 1}, Decoding(max_new_tokens=7)),
        ({"do_sample": False, "temperature": 0.8}, Decoding(max_new_tokens=256)),
        ({"temperature": 0.0, "top_k": 4, "top_p": 0.5}, Decoding(max_new_tokens=256)),
        ({"temperature": 0.8}, Decoding(max_new_tokens=256, temperature=0.8)),
        (
            {"do_sample": True, "temperature": 0.8, "top_k": 4, "top_p": 0.5, "seed": 3},
            Decoding(max_new_tokens=256, temperature=0.8, top_k=4, top_p=0.5, seed=3),
        ),
    ],
)
def test_settings_of_the_harness(settings: dict[str, Any], expected: Decoding) -> None:
    assert read_decoding(settings) == expected


def test_the_studys_limit_replaces_the_tasks() -> None:
    assert read_decoding({"max_gen_toks": 64}, max_new_tokens=8).max_new_tokens == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"do_sample": True}, "needs a temperature above 0"),
    ],
)
def test_settings_that_the_model_lacks(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_decoding(settings)
