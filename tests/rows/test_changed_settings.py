from codepretrain.rows.changed_settings import changed_settings


def test_settings_that_differ_by_name() -> None:
    old = {"a": {"x": 1, "y": {"z": [1]}}, "only_old": "o", "same": 3}
    new = {"same": 3, "a": {"x": 2, "y": {"z": [1]}}, "b": {"c": 4}, "empty": {}}
    assert changed_settings(old, new) == [
        ("a.x", 1, 2),
        ("b.c", None, 4),
        ("only_old", "o", None),
    ]
    assert changed_settings(new, new) == []
