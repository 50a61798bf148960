import base64
import doctest
import random
import string

import pytest

from codepretrain.data.filters import secret_patterns
from codepretrain.data.filters.secret_patterns import entropy, is_json_web_token, is_random


def test_entropy() -> None:
    assert doctest.testmod(secret_patterns).failed == 0
    assert entropy("a" * 9) == 0
    assert entropy("0123456789abcdef") == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("01234567" * 4, False),  # no letter
        ("abcdefgh" * 4, False),  # no digit
        ("0123456a" * 4, True),  # hexadecimal, 3.0 bits
        ("0123455a" * 4, False),  # hexadecimal, 2.75 bits
        ("0123456z" * 4, False),  # 3.0 bits, not hexadecimal
        ("0123456789uvwxyz"[:12] * 2, True),  # 3.58 bits
        ("0123456789z" * 2, False),  # 3.46 bits
        ("the_name_of_a_token_42", False),  # words and numbers
        ("the_name_of_a_token42", False),  # 3.30 bits
        ("the_quick_brown_jumps42", False),  # 7 characters in parts with both
        ("the_quick_brown_jumper42", True),
        ("access_logs.s3.bucket", False),
        ("my-app/22a0-stage-150819_185942.war", False),
        ("29AV1-3OFV9-VVIUB-NKT0I-LRO6V", True),
        ("S3AccessPointAttachments", False),
        ("ServerlessV2PlatformVersions", False),
        ("PassWordMustBeAtLeast6Chars.", False),
    ],
)
def test_randomness(value: str, expected: bool) -> None:
    assert is_random(value) == expected


def test_random_strings_look_random() -> None:
    rng = random.Random(0)
    letters = string.ascii_letters + string.digits
    found = [is_random("".join(rng.choices(letters, k=20))) for _ in range(1000)]
    assert sum(found) >= 950  # 3% have no digit
    assert all(is_random(rng.randbytes(20).hex()) for _ in range(1000))


def test_json_web_tokens() -> None:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    assert is_json_web_token(part('{"alg": "HS256"}') + ".e30.x")
    assert not is_json_web_token(part('{"typ": "x"}') + ".e30.x")
    assert not is_json_web_token(part("[1]") + ".e30.x")
    assert not is_json_web_token("eyJ_.e30.x")
