"""What is restored and who sends it, by hand."""

import random

from codepretrain.checkpoint.local import plan


def test_the_newest_state_of_which_every_part_is_somewhere() -> None:
    held = [
        {(4, "a", 0), (6, "a", 0), (6, "a", 1)},
        {(4, "a", 1), (4, "b", 0), (8, "a", 1)},
        set(),
    ]
    assert plan.restorable(held, [0, 1, 0]) == [(6, "a"), (4, "a")]
    assert plan.restorable(held, [0, 1, 2]) == []


def test_a_process_reads_its_own_copy_and_others_share_the_sending() -> None:
    assert plan.sources({0: {0, 1}, 1: {1}}, [0, 1]) == [0, 1]
    # Processes 2 and 3 hold nothing; their parts are on 0 and 1, which take turns.
    assert plan.sources({0: {0, 1}, 1: {0, 1}}, [0, 1, 0, 1]) == [0, 1, 0, 1]
    assert plan.sources({0: {1}}, [0, 0, 0]) == [1, 1, 1]
    assert plan.sources({0: {1}}, [0, 1]) is None


def test_a_process_sends_once_in_a_round() -> None:
    assert plan.rounds([0, 1]) == []
    assert plan.rounds([1, 1, 1, 2]) == [[(1, 0), (2, 3)], [(1, 2)]]


def test_every_part_arrives_once_for_any_disks() -> None:
    rng = random.Random(0)
    for _ in range(200):
        parts = [rng.randrange(4) for _ in range(8)]
        holders = {
            part: {process for process in range(8) if rng.random() < 0.3} for part in range(4)
        }
        chosen = plan.sources(holders, parts)
        if chosen is None:
            assert any(not holders[part] for part in parts)
            continue
        assert all(source in holders[part] for source, part in zip(chosen, parts, strict=True))
        moves = plan.rounds(chosen)
        for some in moves:
            senders = [sender for sender, _ in some]
            assert len(set(senders)) == len(senders)
        received = [to for some in moves for _, to in some]
        assert sorted(received) == [p for p, source in enumerate(chosen) if p != source]
