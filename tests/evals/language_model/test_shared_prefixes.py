import numpy as np
import pytest

from codepretrain.evals.language_model.shared_prefixes import Group, Scored, group_prefixes


def sequence(text: str) -> Scored:
    """The letters before and after the bar are context and continuation."""
    context, continuation = text.split("|")
    ids = np.array([ord(c) for c in context + continuation], np.int32)
    return Scored(ids, len(continuation))


def groups(*texts: str) -> list[Group]:
    return group_prefixes([sequence(text) for text in texts])


def test_the_figure_of_the_module() -> None:
    assert groups("abcd|ef", "abcd|hk", "abcd|ijk") == [Group((0, 1, 2), 3, 2 + 2 + 3)]


def test_a_sequence_alone_branches_where_its_targets_begin() -> None:
    assert groups("abcdefg|xyz") == [Group((0,), 6, 3)]


def test_a_sequence_that_is_mostly_scored_has_no_prefix() -> None:
    assert groups("a|bcd") == [Group((0,), 0, 3)]
    assert groups("abc|def") == [Group((0,), 0, 5)]
    assert groups("abcd|efg") == [Group((0,), 3, 3)]
    assert groups("a" * 700 + "|" + "b" * 513) == [Group((0,), 0, 1212)]


def test_others_join_where_that_saves_computation() -> None:
    # Costs: 11 + 2·(1 + 1) for the pair, 11 + 2·1 for a third alone; together 8 + 2·(4 + 4 + 4) if
    # 8 tokens are common, 10 + 2·(2 + 2 + 2) if 10 are.
    pair = ("abcdefghijkl|m", "abcdefghijkl|n")
    assert groups(*pair) == [Group((0, 1), 11, 1 + 1)]
    assert groups(*pair, "abcdefghzzzz|m") == [Group((0, 1), 11, 2), Group((2,), 11, 1)]
    assert groups(*pair, "abcdefghijzz|m") == [Group((0, 1, 2), 10, 2 + 2 + 2)]
    # The common bos alone is not worth it; contexts in lexicographic order.
    assert groups("bzzz|i", "baaa|i") == [Group((1,), 3, 1), Group((0,), 3, 1)]
    assert groups("x|y", "b|cd", "b|ce") == [
        Group((1,), 0, 2),
        Group((2,), 0, 2),
        Group((0,), 0, 1),
    ]


def test_the_prefix_ends_before_the_first_wanted_token_of_any() -> None:
    assert groups("abcd|efgh", "abcdef|gk") == [Group((0, 1), 3, 4 + 4)]
    assert groups("abcde|f", "abcdef|g") == [Group((0, 1), 4, 1 + 2)]


def test_the_branches_of_a_group_are_limited() -> None:
    """200 endings of 3 tokens each: 170 of them have 510 tokens."""
    texts = ["context|" + chr(300 + i) * 3 for i in range(200)]
    found = groups(*texts)
    assert [(len(group.numbers), group.branch_tokens) for group in found] == [(170, 510), (30, 90)]


@pytest.mark.parametrize("seed", range(20))
def test_every_sequence_is_in_one_group_that_it_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = []
    for _ in range(60):
        ids = rng.integers(1, 3, rng.integers(2, 40)).astype(np.int32)
        sequences.append(Scored(ids, int(rng.integers(1, len(ids)))))
    found = group_prefixes(sequences)
    assert sorted(n for group in found for n in group.numbers) == list(range(60))
    for group in found:
        members = [sequences[number] for number in group.numbers]
        starts = {tuple(one.ids[: group.prefix_tokens].tolist()) for one in members}
        assert len(starts) == 1
        assert group.branch_tokens == sum(one.num_inputs - group.prefix_tokens for one in members)
        assert all(group.prefix_tokens <= one.num_free for one in members)
        apart = sum(
            2 * one.num_inputs
            if one.num_targets > one.num_free
            else one.num_free + 2 * one.num_targets
            for one in members
        )
        assert len(members) == 1 or group.prefix_tokens + 2 * group.branch_tokens < apart
