"""The errors of the endpoint, in the form of OpenAI's API."""

from typing import Any

from codepretrain.errors import one_line

_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that is refused: an HTTP status and one sentence that says what to change.

    Attributes:
      field: the field of the request that is wrong, if it is one.
      code: a short name for programs.
    """

    def __init__(
        self, status: int, message: str, *, field: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = one_line(message)
        self.field = field
        self.code = code

    def body(self) -> dict[str, Any]:
        """Returns the body of the response."""
        kind = _TYPES.get(self.status)
        if kind is None:
            kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.field, "code": self.code}
        return {"error": error}


def wrong(field: str, expected: str, found: str) -> ApiError:
    """Returns the error for a field with a wrong value."""
    return ApiError(400, f"{field}: expected {expected}, found {found}", field=field)
