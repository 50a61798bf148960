import pytest

from codepretrain.serve.api_error import ApiError
from codepretrain.serve.fields import parse_object

NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON in UTF-8: Expecting value"),
        (b"{", "the body is not JSON in UTF-8: Expecting property name"),
        (b"prompt=a", "the body is not JSON in UTF-8: Expecting value"),
        (b'{"prompt": "\xff"}', "the body is not JSON in UTF-8: 'utf-8' codec"),
        (b'{"temperature": NaN}', "the body is not JSON in UTF-8: NaN is not a JSON number"),
        (b'{"temperature": Infinity}', "Infinity is not a JSON number"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "the body is not JSON in UTF-8: Exceeds the limit"),
        (NESTED, "the body is not JSON in UTF-8: it is nested too deeply"),
        (b"[]", "the body: expected a JSON object, found a list of 0"),
        (b'"a"', "the body: expected a JSON object, found 'a'"),
        (b"null", "the body: expected a JSON object, found null"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_is_no_object(body: bytes, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_object(body)
    assert caught.value.message.startswith(message) or message in caught.value.message
    assert caught.value.status == 400


def test_the_form_of_an_error() -> None:
    error = ApiError(400, "n: expected 1,\nfound 2", field="n")
    assert error.body() == {
        "error": {
            "message": "n: expected 1, found 2",
            "type": "invalid_request_error",
            "param": "n",
            "code": None,
        }
    }
    assert ApiError(503, "x").body()["error"]["type"] == "server_error"
    assert ApiError(401, "x").body()["error"]["type"] == "authentication_error"
