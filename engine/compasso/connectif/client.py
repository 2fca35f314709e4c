"""The HTTP client of the Connectif API: one request at a time from the budget, with retries.

It stands alone: it knows nothing of specs, plans or state.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from compasso.connectif.budget import Budget, backoff
from compasso.connectif.clock import Clock
from compasso.model import ApiCall, CompassoError, Priority

TRIES = 8
# No connection was made, so the request cannot have had an effect.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TIMEOUT = httpx.Timeout(30.0, read=60.0, write=120.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered. `body` is its JSON, or None."""

    status: int
    body: Any
    text: str

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    def reason(self) -> str:
        """The API's own reason for a refusal, in one line."""
        if not isinstance(self.body, dict):
            return f"{self.status} {self.text.strip()[:200]}".strip()
        parts = [
            f"{item.get('path', '')} {item.get('reason', '')}".strip()
            for item in self.body.get("validationErrors") or []
            if isinstance(item, dict)
        ]
        said = "; ".join(parts) or str(self.body.get("detail") or self.body.get("title") or "")
        code = f" {self.body['code']}" if self.body.get("code") else ""
        return f"{self.status}{code}: {said}"


class LostAnswer(Exception):  # noqa: N818 - what happened, not whose fault
    """A request was sent, and nobody knows whether it had its effect.

    `left` is False when it surely had none: no connection was made.
    """

    def __init__(self, what: str, *, left: bool = True) -> None:
        super().__init__(what)
        self.left = left


class LimitReached(Exception):  # noqa: N818 - what happened, not whose fault
    """The client has sent as many requests as it may (`Client.most`)."""


class Client:
    """A connection to one account. Use it as an async context manager.

    `key` is called when the first request leaves, so that a secret is read only when needed.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str],
        budget: Budget,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
        seed: int | None = None,
    ) -> None:
        self.base_url = base_url
        self.budget = budget
        self.clock = clock
        self.sent = 0
        self.most: int | None = None  # how many requests may be sent in all
        self.tries = TRIES
        self._waiting = 0
        self._key = key
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._http = httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT, transport=transport)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def send(
        self,
        call: ApiCall,
        priority: Priority = Priority.NORMAL,
        *,
        leaving: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a call that may be repeated, until it is answered by other than 429 or 5xx.

        `leaving` is called just before each try leaves, when it has its place in the budget.
        Raises CompassoError: 401, 403, or no answer after all tries.
        """
        return await self._repeat(
            lambda: self._once(call.method, call.path, priority, call=call, leaving=leaving),
            call.method,
        )

    async def send_once(
        self,
        call: ApiCall,
        priority: Priority = Priority.NORMAL,
        *,
        leaving: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a call that may not be repeated blindly.

        A refused call (429) and one that never reached the server had no effect: they are sent
        again. Raises LostAnswer when nobody knows, also after 5xx; CompassoError.
        """
        for attempt in range(self.tries):
            try:
                answer = await self._once(
                    call.method, call.path, priority, call=call, leaving=leaving
                )
            except LostAnswer as lost:
                if lost.left:
                    raise
                await self.pause(attempt)
                continue
            if answer.status >= 500:
                raise LostAnswer(f"status {answer.status}")
            if answer.status != 429:
                return answer
        raise self.unreachable(call.method, "refused, or no connection, every time")

    async def pause(self, attempt: int, *, at_least: float = 0.0) -> None:
        """Wait before the next try: longer and longer, at random."""
        await self.clock.sleep(max(at_least, backoff(attempt, self._random.random())))

    def unreachable(self, method: str, last: str) -> CompassoError:
        """The error that says that the API does not answer."""
        return CompassoError.say(
            f"cannot reach Connectif at {self.base_url}: {method} failed {self.tries} times ({last})",
            "what was applied is safe; try again later, and check base_url and the network",
        )

    async def create_import(
        self,
        kind: str,
        file: Path,
        priority: Priority = Priority.NORMAL,
        *,
        override_existing: bool = True,
        update_only_empty_fields: bool = False,
        delimiter: str = ",",
        coupon_set_id: str | None = None,
    ) -> Answer:
        """POST /imports/ (documented, D11): a multipart upload, streamed from the file.

        Not repeated: after a lost answer the import may exist. Raises LostAnswer.
        """
        fields = {
            "type": kind,
            "delimiter": delimiter,
            "overrideExisting": str(override_existing).lower(),
            "updateOnlyEmptyFields": str(update_only_empty_fields).lower(),
        }
        if coupon_set_id is not None:
            fields["couponSetId"] = coupon_set_id
        while True:
            with file.open("rb") as content:
                answer = await self._once(
                    "POST",
                    "/imports/",
                    priority,
                    data=fields,
                    files={"file": (f"{kind}.csv", content, "text/csv")},
                )
            if answer.status != 429:
                return answer

    async def get_import(self, identity: str, priority: Priority = Priority.NORMAL) -> Answer:
        """GET /imports/{id} (documented, D11)."""
        return await self.send(ApiCall("GET", f"/imports/{identity}"), priority)

    async def list_imports(self, priority: Priority = Priority.NORMAL) -> list[dict[str, Any]]:
        """GET /imports/ (seen in a public client): the first page, newest first (a guess)."""
        answer = await self.send(ApiCall("GET", "/imports/"), priority)
        if not answer.ok or not isinstance(answer.body, dict):
            raise CompassoError.say(f"the list of imports cannot be read: {answer.reason()}")
        return list(answer.body.get("results") or [])

    async def download(self, url: str, file: Path) -> None:
        """Fetch a file address that the API gave out. No key is sent, and none is needed."""

        status = await self.fetch(url, file)
        if not 200 <= status < 300:
            raise CompassoError.say(f"a file cannot be fetched: status {status}")

    async def fetch(self, url: str, file: Path) -> int:
        """Fetch a file address that the API gave out; answers the status. No key is sent.

        Only with 2xx there is a file, and then it is whole. Raises CompassoError: no answer.
        """

        async def once() -> Answer:
            try:
                async with self._http.stream("GET", url) as response:
                    if response.is_success:
                        with file.open("wb") as target:
                            async for chunk in response.aiter_bytes():
                                target.write(chunk)
                    return Answer(response.status_code, None, "")
            except httpx.TransportError as error:
                raise LostAnswer(type(error).__name__) from error

        return (await self._repeat(once, "GET")).status

    async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """All results of a list, following links.next (documented, D9 D10 D12)."""
        where: str | None = path
        while where:
            answer = await self.send(ApiCall("GET", where))
            if not answer.ok or not isinstance(answer.body, dict):
                raise CompassoError.say(f"{path} cannot be read: {answer.reason()}")
            for item in answer.body.get("results") or []:
                yield item
            where = self._own_path((answer.body.get("links") or {}).get("next"))

    def _own_path(self, link: str | None) -> str | None:
        """A link of the API as a path of `base_url`: the key goes to no other host."""
        if not link:
            return None
        parts = urlsplit(link)
        path = parts.path.removeprefix(urlsplit(self.base_url).path.rstrip("/"))
        return f"{path}?{parts.query}" if parts.query else path

    async def _repeat(self, once: Callable[[], Any], method: str) -> Answer:
        last = "no answer"
        for attempt in range(self.tries):
            try:
                answer: Answer = await once()
            except LostAnswer as lost:
                last = str(lost)
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                last = f"status {answer.status}"
                if answer.status == 429:  # the budget waits as long as the server said
                    continue
            if attempt < self.tries - 1:
                await self.pause(attempt)
        raise self.unreachable(method, last)

    async def _once(
        self,
        method: str,
        path: str,
        priority: Priority,
        call: ApiCall | None = None,
        leaving: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> Answer:
        if self.most is not None and self.sent + self._waiting >= self.most:
            raise LimitReached
        self._waiting += 1  # counted, so that several at once do not go past the limit
        try:
            ticket = await self.budget.acquire(priority)
        finally:
            self._waiting -= 1
        self.sent += 1
        headers = {"Authorization": f"apiKey {self._key()}"}
        response: httpx.Response | None = None
        try:
            if call is not None and call.body is not None:
                more["json"] = call.body
            if call is not None and call.query:
                more["params"] = dict(call.query)
            leaving()
            response = await self._http.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            raise LostAnswer(
                type(error).__name__, left=not isinstance(error, _NEVER_LEFT)
            ) from error
        except httpx.InvalidURL as error:
            raise CompassoError.say(f"base_url is not an address: {self.base_url}") from error
        finally:
            known: Mapping[str, str] | None = response.headers if response is not None else None
            self.budget.settle(
                ticket, known, response.status_code if response is not None else None
            )
        _refuse(response)
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    body = None
    if "json" in response.headers.get("content-type", ""):
        try:
            body = json.loads(response.content)
        except ValueError as error:
            if response.is_success:  # a body that broke off: the effect may be there
                raise LostAnswer("the answer broke off") from error
    return Answer(response.status_code, body, response.text if body is None else "")


def _refuse(response: httpx.Response) -> None:
    """401 and 403 stop everything: no later request would fare better."""
    if response.status_code == 401:
        raise CompassoError.say(
            "Connectif does not accept the API key (401)",
            "check the variable that compasso.yml names under connectif.api_key; the key is "
            "id:secret, as the store's settings show it",
        )
    if response.status_code == 403:
        raise CompassoError.say(
            "the API key lacks a permission, or the account is blocked (403)",
            "give the key read and write on contacts, products, imports and contact fields",
        )
