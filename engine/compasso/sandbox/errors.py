"""Connectif's error answers (API facts: 9.3)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

TITLES = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict",
    413: "Payload Too Large", 415: "Unsupported Media Type", 422: "Unprocessable entity",
    429: "Too Many Requests",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"status": status, "title": TITLES[status], "detail": detail, **more}

    @property
    def reasons(self) -> str:
        """The reasons in one line."""
        listed = self.body.get("validationErrors")
        if not listed:
            return str(self)
        return "; ".join(f"{p['name']}: {p['reason']}" for p in listed)

    @property
    def response(self) -> Response:
        """The error as an answer."""
        return JSONResponse(self.body, self.status)


def invalid(problems: list[tuple[str, str]], status: int = 422) -> ApiError:
    """422 for a list of (path without its first slash, reason)."""
    listed = [
        {"name": path.rpartition("/")[2], "path": f"/{path}", "reason": reason}
        for path, reason in problems
    ]
    return ApiError(status, "One or more validation error occurred.", validationErrors=listed)


def unauthorized() -> Response:
    """401 has no JSON body (documented); the text is seen in client tests."""
    return PlainTextResponse("Unauthorized", 401)
