import pytest

from codepretrain.data.filters.licenses import PERMISSIVE, Licenses
from tests.data.filters.documents import document


def judged(license: str | None, **options) -> str | None:
    return Licenses(**options).reason(document("x", license=license))


@pytest.mark.parametrize("license", ["mit", " MIT ", "Apache-2.0 OR GPL-3.0-only", *PERMISSIVE])
def test_permissive(license: str) -> None:
    assert judged(license) is None


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("GPL-3.0-only", "license_not_allowed"),
        ("MIT AND GPL-3.0-only", "license_not_allowed"),
        ("All rights reserved", "license_unknown"),
        ("", "license_missing"),
        (None, "license_missing"),
    ],
)
def test_dropped(license: str | None, expected: str) -> None:
    assert judged(license) == expected


def test_options() -> None:
    assert judged("GPL-3.0-only", allowed=("gpl-3.0-ONLY",)) is None
    assert judged("MIT", allowed=("GPL-3.0-only",)) == "license_not_allowed"
    assert judged("The Old License", allowed=("the old license",)) is None
    assert judged(None, allow_missing=True) is None
    assert judged("no one knows", allow_missing=True) == "license_unknown"
