"""What the areas of the API share: sending, reading pages, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from compasso.connectif.client import Answer, Client
from compasso.model import ApiCall, CompassoError, Diagnostic, Json, Priority


class Refused(CompassoError):  # noqa: N818 - what happened, not whose fault
    """The API answered with an error that trying again would not mend.

    `status` is the HTTP status, `code` Connectif's own (E0101 …, documented in D2) or None,
    `problems` the (path, reason) pairs of a 422, `details` the whole JSON body of the answer.
    """

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(Diagnostic(message=f"{what}: {answer.reason()}"))
        self.status = answer.status
        self.details: Mapping[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        self.code: str | None = self.details.get("code")
        self.problems = tuple(
            (str(problem.get("path", "")), str(problem.get("reason", "")))
            for problem in self.details.get("validationErrors") or ()
            if isinstance(problem, dict)
        )


def segment(value: str) -> str:
    """A value as one part of a path: everything that has a meaning there is encoded."""
    return quote(value, safe="")


def record_path(collection: str, store_id: str | None, own_id: str | None) -> str:
    """The path of a product or purchase (`collection`: "product" or "purchase"), by the store's
    id or by Connectif's. Raises ValueError unless just one of them is given."""
    if (store_id is None) == (own_id is None):
        raise ValueError(f"give either {collection}_id or id")
    if store_id is not None:
        return f"/{collection}s/{collection}-id/{segment(store_id)}"
    return f"/{collection}s/{segment(own_id or '')}"


def _json(body: Mapping[str, object] | None) -> Json:
    """A typed body as JSON: a TypedDict of the API is always that, which no type can say."""
    return None if body is None else cast(Json, dict(body))


class Area:
    """The calls of one kind of thing. GET, PATCH and DELETE are repeated until they are answered."""

    def __init__(self, client: Client, priority: Priority) -> None:
        self._client = client
        self._priority = priority

    async def _send(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> Answer:
        """A call that may be repeated. Raises CompassoError."""
        return await self._client.send(ApiCall(method, path, _json(body)), self._priority)

    async def _read(self, path: str) -> Any | None:
        """The JSON at a path; None where there is nothing (404). Raises Refused."""
        answer = await self._send("GET", path)
        if answer.status == 404:
            return None
        return self._expect(answer, f"GET {path}")

    async def _change(self, path: str, body: Mapping[str, object]) -> Any:
        """PATCH: what the record is then. Raises Refused."""
        return self._expect(await self._send("PATCH", path, body), f"PATCH {path}")

    async def _remove(self, path: str) -> bool:
        """DELETE: whether there was something (404 is no error). Raises Refused."""
        answer = await self._send("DELETE", path)
        if answer.status == 404:
            return False
        self._expect(answer, f"DELETE {path}")
        return True

    async def _create(
        self, path: str, body: Mapping[str, object], query: Mapping[str, str] | None = None
    ) -> Any:
        """POST: sent once, for it is not known whether a second one makes a second thing.

        Raises LostAnswer (nobody knows whether it had its effect), Refused, CompassoError.
        """
        call = ApiCall("POST", path, _json(body), query or {})
        return self._expect(await self._client.send_once(call, self._priority), f"POST {path}")

    async def _pages(self, path: str) -> AsyncIterator[Any]:
        async for item in self._client.pages(path):
            yield item

    @staticmethod
    def _expect(answer: Answer, what: str) -> Any:
        if not answer.ok:
            raise Refused(what, answer)
        return answer.body
