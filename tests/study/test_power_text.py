"""Notes of a plan on contrasts: each reason once, however many contrasts it is about."""

from codepretrain.study.power_text import replication_lines


def contrast(*, counts: tuple[int, int] = (3, 3), is_one: bool = True) -> dict[str, object]:
    replicates = dict(zip(("code", "plain"), counts, strict=True))
    return {"replicates": replicates, "is_from_one_checkpoint": is_one}


def test_a_reason_of_many_contrasts_is_given_once() -> None:
    [line] = replication_lines({f"c{n}": contrast() for n in range(16)})
    assert line.startswith("all 16 contrasts: all runs start from one checkpoint, so the answer is")


def test_contrasts_with_different_reasons_are_named() -> None:
    given = {
        **{f"c{n}": contrast() for n in range(5)},
        "free": contrast(is_one=False),
        "few": contrast(counts=(1, 3)),
    }
    shared, few = replication_lines(given)
    assert shared.startswith("5 contrasts (c0, c1, c2, c3, …): all runs start from one checkpoint")
    assert few.startswith("contrast few: code will have one independent replicate, so checkpoints")
    two = {name: given[name] for name in ("c0", "c1", "free")}
    assert replication_lines(two)[0].startswith("2 contrasts (c0, c1): all runs")
    assert replication_lines({"free": given["free"]}) == []
