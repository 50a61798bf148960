import random

import numpy as np
import pytest

from codepretrain.data.document import Document
from codepretrain.data.items.continuation_items import continuation_items
from codepretrain.data.items.held_out import HeldOut
from codepretrain.rows.vocabulary import Vocabulary

VOCABULARY = Vocabulary([b"", b"", b"", *[bytes([b]) * 2 for b in range(250)]], bos=1, eos=2, pad=0)


def make(lengths: list[int]) -> list[HeldOut]:
    rng = np.random.default_rng(0)
    return [
        HeldOut(
            Document(id=str(n), text="", source="s", origin="o"),
            [1, *rng.integers(3, 253, length).tolist(), 2],
            VOCABULARY,
        )
        for n, length in enumerate(lengths)
    ]


def contains(ids: list[int], part: list[int]) -> bool:
    return any(ids[i : i + len(part)] == part for i in range(len(ids)))


@pytest.mark.parametrize(("max_seq_len", "num_context", "num_choice"), [(256, 96, 24), (32, 24, 8)])
def test_the_answer_follows_and_the_others_are_of_other_documents(
    max_seq_len, num_context, num_choice
) -> None:
    documents = make([119, 500, 1500, 130, 120, 5])
    items = continuation_items(documents, max_seq_len=max_seq_len, rng=random.Random(0))
    by_id = {held_out.document.id: list(held_out.ids) for held_out in documents}
    assert {item["document"] for item in items} == {"0", "1", "2", "3", "4"}
    for item in items:
        context, choices, answer = item["context"], item["choices"], item["answer"]
        assert len(context) == num_context
        assert [len(choice) for choice in choices] == [num_choice] * 4
        assert item["choice_bytes"] == [2 * num_choice] * 4
        assert context[0] == VOCABULARY.bos
        assert contains(by_id[item["document"]], context[1:] + choices[answer])
        for number, choice in enumerate(choices):
            owners = {name for name, ids in by_id.items() if contains(ids, choice)}
            assert (item["document"] in owners) == (number == answer)
    assert len({item["answer"] for item in items}) > 1
    assert items == continuation_items(documents, max_seq_len=max_seq_len, rng=random.Random(0))


def test_a_document_gives_no_more_than_eight_items() -> None:
    items = continuation_items(make([5000] * 4), max_seq_len=256, rng=random.Random(0))
    assert len(items) == 4 * 8


def test_fewer_than_four_documents_give_none() -> None:
    assert not continuation_items(make([500] * 3), max_seq_len=256, rng=random.Random(0))
