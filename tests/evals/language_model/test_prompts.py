from typing import Any

import pytest

from codepretrain.evals.language_model.prompts import Prompt, prompts_of
from codepretrain.evals.language_model.sampling import Sampling


def made(prompts: list[list[int]], **changes: Any) -> list[Prompt]:
    settings: dict[str, Any] = {
        "max_new_tokens": 3,
        "stop": (),
        "sampling": None,
        "num_samples": 1,
        "bos": 1,
        "max_seq_len": 8,
    }
    return prompts_of(prompts, **settings | changes)


def test_one_setting_for_all_or_one_per_prompt() -> None:
    assert made([[5], []], stop=[b"a", b"bc"]) == [
        Prompt((5,), 3, (b"a", b"bc")),
        Prompt((1,), 3, (b"a", b"bc")),
    ]
    assert made([[5], [6]], max_new_tokens=[1, 2], stop=[[], [b"x"]]) == [
        Prompt((5,), 1, ()),
        Prompt((6,), 2, (b"x",)),
    ]


def test_a_prompt_leaves_room_for_its_own_completion() -> None:
    long = list(range(10, 20))
    assert [one.tokens for one in made([long, long], max_new_tokens=[7, 2])] == [
        (19,),
        (14, 15, 16, 17, 18, 19),
    ]


def test_samples_of_a_prompt_lie_side_by_side_and_differ_only_if_they_are_random() -> None:
    random = made([[5], [5]], sampling=Sampling(), num_samples=2)
    assert [one.counters for one in random] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(set(made([[5], [5]], num_samples=2))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens of prompt 0: expected 1 to 7"),
        ({"max_new_tokens": [1, 8]}, "max_new_tokens of prompt 1: expected 1 to 7"),
        ({"max_new_tokens": [1]}, "max_new_tokens: expected 2 numbers, got 1"),
        ({"num_samples": 0}, "num_samples: expected 1 or more, got 0"),
        ({"stop": b"\n"}, "stop: expected a sequence of byte strings, got b'\\\\n'"),
        ({"stop": ["\n", "x"]}, "stop of prompt 0: expected non-empty bytes, got '\\\\n'"),
        ({"stop": [b"a", b""]}, "stop of prompt 0: expected non-empty bytes, got b''"),
        ({"stop": [[b"a"]]}, "stop: expected 2 sequences of stop strings, got 1"),
        ({"sampling": Sampling(temperature=0.0)}, "temperature: expected a positive number"),
        ({"sampling": Sampling(top_k=0)}, "top_k: expected 1 or more, or None, got 0"),
        ({"sampling": Sampling(top_p=0.0)}, r"top_p: expected a number in \(0, 1\], got 0.0"),
        ({"sampling": Sampling(seed=-1)}, "seed: expected 0 to"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made([[5], [6]], **changes)
