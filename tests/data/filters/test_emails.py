import json

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


@pytest.mark.parametrize(
    "code",
    [
        "attention = q@k.transpose(-1, -2)",
        "f(a@b.sum(axis=0))",
        "y = W@x.to(device) + a@rows.mean[0]",
        "'http://username:password@host.com:80/path'",
        "postgres://ada:l0velace@db.host.net/x",
        "https://:token@host.org",
    ],
)
def test_operators_and_addresses_of_pages_are_kept(code: str) -> None:
    assert redacted("emails", code) == (code, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"by\nada@lovelace.org"', r'"by\n<EMAIL>"'),
        (r'"\u003cada@lovelace.org\u003e"', r'"\u003c<EMAIL>\u003e"'),
        (r'"\x3cada@lovelace.org>"', r'"\x3c<EMAIL>>"'),
        (r'"\\nada@lovelace.org"', r'"\\<EMAIL>"'),  # an escaped backslash
        (r"\n@lovelace.org", r"\n@lovelace.org"),
        ("see http://a.org/b, ada@lovelace.org", "see http://a.org/b, <EMAIL>"),
        ("http://a.org/?to=ada@lovelace.org", "http://a.org/?to=<EMAIL>"),
        ("ada@lovelace.org(work)", "<EMAIL>(work)"),
    ],
)
def test_what_precedes_and_follows_an_address(text: str, expected: str) -> None:
    assert redacted("emails", text)[0] == expected


def test_redacted_json_stays_json() -> None:
    names = ["\nada@lovelace.org", "<ada@lovelace.org>", "\tb@c.io", "é@d.com"]
    for is_ascii in (True, False):
        text = json.dumps(names, ensure_ascii=is_ascii).replace("<", r"\u003c")
        changed, _ = redacted("emails", text)
        assert json.loads(changed)[:3] == ["\n<EMAIL>", "<<EMAIL>>", "\t<EMAIL>"]


def test_counts_and_placeholder() -> None:
    text = "mailto:a@b.com;c@d.org"
    assert redacted("emails", text, placeholder="X") == ("mailto:X;X", {"email": 2})


def test_long_texts_take_linear_time() -> None:
    for text in ("a" * 1_000_000 + "@", "a." * 500_000 + "@", "a@" * 500_000, "a@b." * 250_000):
        redacted("emails", text)  # hours if every position were tried to the end
