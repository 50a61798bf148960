import pytest

from tests.data.filters.documents import redacted


@pytest.mark.parametrize(
    "address",
    [
        "ada@lovelace.org",
        "a.b+c_d%e-f@mail.some-host.co.uk",
        "x" * 64 + "@b.io",
        "ADA@LOVELACE.ORG",
        "1@23.com",
    ],
)
def test_addresses(address: str) -> None:
    assert redacted("emails", f"# <{address}>, 2024.") == ("# <<EMAIL>>, 2024.", {"email": 1})


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com, user@sub.example.org and a@b.test",
        "git@github.com:owner/name.git",
        "https://user@host.com/path",
        "icon@2x.png react@18.2.0.tgz",
        "x" * 65 + "@b.io",
        "@decorator.name a @ b.com a@b a@b.c a@-b.com a@b-.com",
        "no at all",
    ],
)
def test_others_are_kept(text: str) -> None:
    assert redacted("emails", text) == (text, {})


def test_counts_and_placeholder() -> None:
    text = "mailto:a@b.com;c@d.org"
    assert redacted("emails", text, placeholder="X") == ("mailto:X;X", {"email": 2})


def test_long_texts_take_linear_time() -> None:
    for text in ("a" * 1_000_000 + "@", "a." * 500_000 + "@", "a@" * 500_000, "a@b." * 250_000):
        redacted("emails", text)  # hours if every position were tried to the end
