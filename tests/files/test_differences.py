from codepretrain.files.differences import differences


def test_each_leaf_that_differs_is_named_by_its_path() -> None:
    stored = {"model": {"num_layers": 4, "d_ff": 8}, "seed": 0, "rows": {"text": "a"}}
    now = {"model": {"num_layers": 6, "d_ff": 8}, "seed": 0, "rows": {"code": "b"}}
    assert differences(stored, now) == [
        "model.num_layers: stored 4, now 6",
        "rows.code: stored None, now 'b'",
        "rows.text: stored 'a', now None",
    ]
    assert differences(stored, stored) == []


def test_long_values_are_cut() -> None:
    [line] = differences({"text": "x" * 100}, {"text": "y"})
    assert line == f"text: stored '{'x' * 39}, now 'y'"
