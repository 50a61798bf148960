import pytest

from codepretrain.data.filters.spdx import InvalidExpressionError, is_permitted


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only or MIT and Apache-2.0", True),
        ("GPL-3.0-only OR (MIT AND GPL-2.0-only)", False),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0 OR MIT", True),
        ("GPL-2.0+", False),
        ("DocumentRef-x:LicenseRef-y", False),
        ("((MIT))", True),
        ("GPL-2.0 OR " * 5000 + "MIT", True),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    assert is_permitted(expression, {"mit", "apache-2.0"}.__contains__) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "MIT License",
        "MIT AND",
        "OR MIT",
        "(MIT",
        "MIT)",
        "MIT WITH",
        "()",
        "a, b",
        "MIT ©",
        "(" * 5000 + "MIT" + ")" * 5000,
    ],
)
def test_other_texts(text: str) -> None:
    with pytest.raises(InvalidExpressionError):
        is_permitted(text, lambda name: True)
