"""The secrets are made here, at random: none stands in this file."""

import base64
import random
import string

import pytest

from tests.data.filters.documents import redacted

RNG = random.Random(0)
ALPHANUMERIC = string.ascii_letters + string.digits


def some(length: int, letters: str = ALPHANUMERIC) -> str:
    return "".join(RNG.choices(letters, k=length))


def token_part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


BASE32 = string.ascii_uppercase + "234567"
LINES = "\n".join(some(64) for _ in range(20))

SECRETS = {
    "aws_access_key": "AKIA" + some(16, BASE32),
    "github_token": "ghp_" + some(36),
    "gitlab_token": "glpat-" + some(20),
    "slack_token": "xoxb-" + "-".join([some(12, string.digits), some(12, string.digits), some(24)]),
    "stripe_key": "sk_" + "live_" + some(24),
    "google_api_key": "AIza" + some(35),
    "npm_token": "npm_" + some(36),
    "pypi_token": "pypi-" + "AgE" + some(80),
    "hugging_face_token": "hf_" + some(34, string.ascii_letters),
    "sendgrid_key": "SG." + some(22) + "." + some(43),
    "json_web_token": ".".join(
        [token_part('{"alg": "HS256"}'), token_part('{"sub": "1234"}'), some(43)]
    ),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_keys_with_a_format(kind: str) -> None:
    for around in ('key = "{}"\n', "--token={} --verbose", "({}).", "{}"):
        text, counts = redacted("secret_keys", around.format(SECRETS[kind]))
        assert (text, counts) == (around.format("<KEY>"), {kind: 1})


@pytest.mark.parametrize(
    ("kind", "cut"),
    [
        ("aws_access_key", 1),
        ("github_token", 1),
        ("gitlab_token", 1),
        ("google_api_key", 1),
        ("npm_token", 1),
        ("hugging_face_token", 1),
        ("sendgrid_key", 1),
        ("stripe_key", 5),
        ("pypi_token", 31),
    ],
)
def test_shorter_strings_are_kept(kind: str, cut: int) -> None:
    text = f"x {SECRETS[kind][:-cut]} x"
    assert redacted("secret_keys", text) == (text, {})


@pytest.mark.parametrize("name", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"])
def test_private_keys(name: str) -> None:
    begin, end = f"-----BEGIN {name}-----", f"-----END {name}-----"
    text, counts = redacted("secret_keys", f"a\n{begin}\n{LINES}\n{end}\nb")
    assert (text, counts) == (f"a\n{begin}<KEY>\n{end}\nb", {"private_key": 1})
    quoted = f'"{begin}\\n' + LINES.replace("\n", "\\n") + f'\\n{end}"'
    assert redacted("secret_keys", quoted)[1] == {"private_key": 1}
    assert redacted("secret_keys", f"{begin}\n...\n{end}")[1] == {}
    public = f"-----BEGIN PUBLIC KEY-----\n{LINES}\n-----END PUBLIC KEY-----"
    assert redacted("secret_keys", public)[1] == {}


def test_parts_of_addresses() -> None:
    text, counts = redacted("secret_keys", "postgres://ada:" + "hunter22@db.host/x")
    assert (text, counts) == ("postgres://ada:<KEY>@db.host/x", {"url_password": 1})
    path = f"T{some(9, BASE32)}/B{some(9, BASE32)}/{some(24)}"
    text, counts = redacted("secret_keys", f"https://hooks.slack.com/services/{path}")
    assert (text, counts) == ("https://hooks.slack.com/services/<KEY>", {"slack_webhook": 1})
    for kept in (
        "http://user:${PASSWORD}@host",
        "http://host:8080/a@b",
        "http://u:pw@host",
        "http://user:password@host",
    ):
        assert redacted("secret_keys", kept) == (kept, {})


@pytest.mark.parametrize(
    "name",
    ["api_key = ", "PASSWORD: ", '"client_secret": ', "token := ", ":auth => ", "accessKey="],
)
def test_random_strings_assigned_to_a_name(name: str) -> None:
    value = "aB3" + some(17) + "9z"
    text, counts = redacted("secret_keys", f"{name}'{value}'")
    assert (text, counts) == (f"{name}'<KEY>'", {"assigned": 1})
    assert redacted("secret_keys", f"{name}'{value}'", assigned=False)[1] == {}


@pytest.mark.parametrize(
    "text",
    [
        "api_key = 'your_api_key_goes_here_1'",
        "password = 'correct horse battery staple 99'",
        "color = 'aB3dE5gH7jK9mN1pQ3sT5vW7'",
        "api_key = os.environ['API_KEY_OF_SERVICE_1']",
        "token = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa1'",
        "OBJECT_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH'",
        "aws = 'AKIAIOSFODNN7EXAMPLE'",
        "key = 'aB3dE5gH7jK9mN1pQ3s'",  # 19 characters
    ],
)
def test_words_and_examples_are_kept(text: str) -> None:
    assert redacted("secret_keys", text) == (text, {})


def test_all_of_them_in_one_text() -> None:
    text, counts = redacted("secret_keys", "\n".join(SECRETS.values()))
    assert text == "\n".join(["<KEY>"] * len(SECRETS))
    assert counts == dict.fromkeys(SECRETS, 1)


@pytest.mark.parametrize(
    "piece",
    [
        *("-----BEGIN PRIVATE KEY-----\n", "eyJ", "key='", "xoxb-", "://a:", "A", "token ", "hf_"),
        *("-eyJ", "eyJaaaaaaaaaaa.eyJ" + "-eyJ" * 900 + ".", "xoxb-" + "a" * 300 + "_ "),
        "xoxb-" + "a1b2c3d4" * 20 + "_ ",
    ],
)
def test_long_texts_take_linear_time(piece: str) -> None:
    redacted("secret_keys", piece * (500_000 // len(piece)))


@pytest.mark.parametrize(("length", "is_found"), [(19, 0), (20, 1), (256, 1), (257, 0)])
def test_lengths_of_assigned_values(length: int, is_found: int) -> None:
    value = ("aB3dE5gH7jK9mN1pQ3sT" * 13)[:length]
    assert redacted("secret_keys", f"key = '{value}'")[1].get("assigned", 0) == is_found


@pytest.mark.parametrize(
    "name",
    [
        *("SECRET_KEY_BASE", "api-key-2", "apiKeyProd", "access_token_value", "keyString"),
        *("dbPassword1", "auth_b64", "refreshToken", "appSecretHex", "my_key_development"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert redacted("secret_keys", f"{name}\"    :=    '{some(20)}1a'")[1] == {"assigned": 1}


@pytest.mark.parametrize(
    "name",
    [
        *("KeyId", "key_usage", "keyword", "tokenizer", "authorName", "password_field_name"),
        *("publicKey", "public_key", "pubkey", "result_key", "NextToken", "primary_key"),
        *("page_token", "cache_key", "sortKey", "ContinuationToken", "foreign-key"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    text = f"{name}: '{some(20)}1a'"
    assert redacted("secret_keys", text) == (text, {})


def test_two_slack_tokens() -> None:
    text = f"xoxp-{some(20)}, xoxe-1-{some(40)}_"
    assert redacted("secret_keys", text)[1] == {"slack_token": 1}


@pytest.mark.parametrize(
    "kind", ["aws_access_key", "gitlab_token", "google_api_key", "npm_token", "hugging_face_token"]
)
def test_longer_strings_are_kept(kind: str) -> None:
    text = f"x {SECRETS[kind]}A x"
    assert redacted("secret_keys", text) == (text, {})
