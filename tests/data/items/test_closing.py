import pytest

from codepretrain.data.items.closing import closing


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("[12, 345", "]"),
        ("f((1, [2", "]))"),
        ("f([1], (2)", ")"),
        ("{'a': 'b", "'}"),
        ('["(', '"]'),
        ("['(', ", "]"),
        ("'it\\'s", "'"),
        ("'it\\\\'", ""),
        ('"""a "quoted" [', '"""'),
        ("'' + '", "'"),
        ("'''a''' + [", "]"),
        ("r'\\'", "'"),
        ("[1,  # not a ( bracket\n 2", "]"),
        ("[1,  # unfinished (", "]"),
        ("3 *", ""),
        ("", ""),
        ("(]", ")"),
        ("'\\", "'"),
    ],
)
def test_what_is_open_is_closed(prefix: str, expected: str) -> None:
    assert closing(prefix) == expected
