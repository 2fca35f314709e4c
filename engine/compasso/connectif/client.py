"""The HTTP client of the Connectif API: one request at a time from the budget, with retries.

It stands alone: it knows nothing of specs, plans or state.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from compasso.connectif.account_clock import AccountClock
from compasso.connectif.breaker import Breaker, NoAnswer, Unreachable
from compasso.connectif.budget import Budget, Claim, backoff
from compasso.connectif.clock import Clock
from compasso.model import ApiCall, CompassoError, Priority

TRIES = 8
_REFUSALS = 30  # 429 in a row for one request: others leave nothing of the account's limit
_PLACE_SECONDS = 0.05  # between looks for a place among the requests that may be sent
# No connection was made, so the request cannot have had an effect.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# These say that the server itself is done with a request; others come from what stands before it.
_OVER = frozenset({500, 503})
LATE_SECONDS = 90.0  # longer than the read timeout below
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


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as logs and traces may show it: no address, no body, nothing personal.

    `name` is the method and the collection ("PATCH /contacts"); `status` is None when there was
    no answer. Times are seconds since 1970.
    """

    name: str
    status: int | None
    started: float
    ended: float
    error: str | None = None


class LostAnswer(Exception):  # noqa: N818 - what happened, not whose fault
    """A request was sent, and nobody knows whether it had its effect.

    `left` is False when it surely had none: no connection was made. `over` is True when the
    server is done with it: otherwise it may still have its effect later.
    """

    def __init__(self, what: str, *, left: bool = True, over: bool = False) -> None:
        super().__init__(what)
        self.left = left
        self.over = over


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
        self.account_clock = AccountClock(clock)
        self.sent = 0
        self.most: int | None = None  # how many requests may be sent in all
        # How many of these are kept for claims that go before this one.
        self.kept: Callable[[Claim], int] = lambda _claim: 0
        self.tries = TRIES
        # How long after its sending a request whose answer was lost may still be carried out.
        self.late_seconds = LATE_SECONDS
        # Called while a request waits for its turn; may raise to give it up.
        self.check: Callable[[], None] = lambda: None
        # Told of each request that was sent.
        self.observe: Callable[[Seen], None] = lambda _seen: None
        self._waiting = 0
        self._key = key
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._breaker = Breaker(base_url, clock, self._random)
        self._callers = itertools.count()
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
        claim: Claim | Priority = Priority.NORMAL,
        *,
        leaving: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a call that may be repeated, until it is answered by other than 429 or 5xx.

        `leaving` is called just before each try leaves, when it has its place in the budget.
        The last answer may be a 5xx if all tries failed while other requests fared better.
        Raises NoAnswer likewise; CompassoError: 401, 403; Unreachable: the API is down.
        """
        return await self._repeat(
            lambda: self._once(call.method, call.path, claim, call=call, leaving=leaving)
        )

    async def send_once(
        self,
        call: ApiCall,
        claim: Claim | Priority = Priority.NORMAL,
        *,
        leaving: Callable[[], None] = lambda: None,
        without_effect: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a call that may not be repeated blindly.

        A refused call (429) and one that never reached the server had no effect: they are sent
        again, and `without_effect` is called of each such try, as `leaving` before each.
        Raises LostAnswer when nobody knows, also after 5xx; CompassoError; Unreachable.
        """
        return await self._repeat(
            lambda: self._once(call.method, call.path, claim, call=call, leaving=leaving),
            once_only=True,
            without_effect=without_effect,
        )

    async def pause(self, attempt: int, *, at_least: float = 0.0) -> None:
        """Wait before the next try: longer and longer, at random."""
        end = self.clock.monotonic() + max(at_least, backoff(attempt, self._random.random()))
        while (left := end - self.clock.monotonic()) > 0:
            self.check()
            await self.clock.sleep(min(left, 0.5))

    def unreachable(self, method: str, last: str) -> Unreachable:
        """The error that says that the API does not answer."""
        return NoAnswer(self.base_url, f"{method} failed {self.tries} times ({last})")

    async def create_import(
        self,
        kind: str,
        file: Path,
        claim: Claim | Priority = Priority.NORMAL,
        *,
        override_existing: bool = True,
        update_only_empty_fields: bool = False,
        delimiter: str = ",",
        coupon_set_id: str | None = None,
        leaving: Callable[[], None] = lambda: None,
    ) -> Answer:
        """POST /imports/ (documented, D11): a multipart upload, streamed from the file.

        Not repeated: after a lost answer the import may exist. Raises LostAnswer. `leaving` is
        called just before each try leaves.
        """
        fields = {
            "type": kind,
            "delimiter": delimiter,
            "overrideExisting": str(override_existing).lower(),
            "updateOnlyEmptyFields": str(update_only_empty_fields).lower(),
        }
        if coupon_set_id is not None:
            fields["couponSetId"] = coupon_set_id

        async def once() -> Answer:
            with file.open("rb") as content:
                return await self._once(
                    "POST",
                    "/imports/",
                    claim,
                    leaving=leaving,
                    data=fields,
                    files={"file": (f"{kind}.csv", content, "text/csv")},
                )

        return await self._repeat(once, once_only=True)

    async def get_import(self, identity: str, claim: Claim | Priority = Priority.NORMAL) -> Answer:
        """GET /imports/{id} (documented, D11)."""
        return await self.send(ApiCall("GET", f"/imports/{identity}"), claim)

    async def list_imports(self, claim: Claim | Priority = Priority.NORMAL) -> list[dict[str, Any]]:
        """GET /imports/ (seen in a public client): the first page, newest first (a guess)."""
        answer = await self.send(ApiCall("GET", "/imports/"), claim)
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

        return (await self._repeat(once)).status

    async def pages(
        self, path: str, claim: Claim | Priority = Priority.NORMAL
    ) -> AsyncIterator[dict[str, Any]]:
        """All results of a list, following links.next (documented, D9 D10 D12)."""
        where: str | None = path
        while where:
            answer = await self.send(ApiCall("GET", where), claim)
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

    async def _repeat(
        self,
        once: Callable[[], Awaitable[Answer]],
        *,
        once_only: bool = False,
        without_effect: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Try until there is an answer; with `once_only`, only while no try had an effect, and
        `without_effect` is told of each of these."""
        caller = next(self._callers)
        attempt = refusals = 0
        answer: Answer | None = None
        while True:
            if answer is None:
                await self._breaker.enter(caller, self.check)
            elif await self._at_fault(caller, answer):
                return answer
            answer, lost = await self._try(once, caller)
            if answer is not None and answer.status < 500:
                if answer.status != 429:
                    return answer
                without_effect()
                refusals += 1  # the budget waits as long as the server said
                if refusals >= _REFUSALS:
                    raise Unreachable(self.base_url, f"refused {refusals} times (429)")
                continue
            if once_only and (lost is None or lost.left):
                over = answer is not None and answer.status in _OVER
                raise lost or LostAnswer(self._breaker.last, over=over)
            without_effect()
            attempt += 1
            if self._breaker.open:
                continue
            if attempt < self.tries:
                await self.pause(attempt - 1)
            elif answer is not None:
                return answer
            else:
                raise NoAnswer(
                    self.base_url, f"no answer to {attempt} tries ({self._breaker.last})"
                )

    async def _try(
        self, once: Callable[[], Awaitable[Answer]], caller: int
    ) -> tuple[Answer | None, LostAnswer | None]:
        try:
            answer = await once()
        except LostAnswer as lost:
            self._breaker.failed(caller, str(lost))
            return None, lost
        except BaseException:
            self._breaker.leave(caller)
            raise
        if answer.status < 500:
            self._breaker.succeeded()
        else:
            self._breaker.failed(caller, f"status {answer.status}")
        return answer, None

    async def _at_fault(self, caller: int, answer: Answer) -> bool:
        """Whether it is for this one request alone that the API is down: an error of the
        server's own (500), and no other request failed."""
        try:
            await self._breaker.enter(caller, self.check)
        except Unreachable:
            if answer.status != 500 or self._breaker.callers != {caller}:
                raise
            self._breaker.succeeded()
            return True
        return False

    async def _wait_for_place(self, claim: Claim) -> None:
        """A place among the requests that may be sent. Those that have one and wait for the budget
        are let go first, and what is kept for others is theirs. Raises LimitReached."""
        while self.most is not None:
            if self.sent >= self.most:
                raise LimitReached
            # While the API is down one request tries, whosever it is, and the others wait for it.
            kept = 0 if self._breaker.open else self.kept(claim)
            if self.sent + self._waiting + kept < self.most:
                return
            self.check()
            await self.clock.sleep(_PLACE_SECONDS)

    async def _once(
        self,
        method: str,
        path: str,
        claim: Claim | Priority,
        call: ApiCall | None = None,
        leaving: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> Answer:
        if isinstance(claim, Priority):
            claim = Claim(claim)
        await self._wait_for_place(claim)
        self._waiting += 1  # counted, so that several at once do not go past the limit
        try:
            ticket = await self.budget.acquire(claim, self.check)
        finally:
            self._waiting -= 1
        self.sent += 1
        headers = {"Authorization": f"apiKey {self._key()}"}
        response: httpx.Response | None = None
        failed: str | None = None
        started, sent = self.clock.now(), self.clock.monotonic()
        try:
            if call is not None and call.body is not None:
                more["json"] = call.body
            if call is not None and call.query:
                more["params"] = dict(call.query)
            leaving()
            response = await self._http.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            failed = type(error).__name__
            raise LostAnswer(failed, left=not isinstance(error, _NEVER_LEFT)) from error
        except httpx.InvalidURL as error:
            raise CompassoError.say(f"base_url is not an address: {self.base_url}") from error
        finally:
            known: Mapping[str, str] | None = None
            status = None
            if response is not None:
                known, status = response.headers, response.status_code
                self.account_clock.observe(known, sent, self.clock.monotonic())
            self.budget.settle(ticket, known, status)
            name = f"{method} /{path.lstrip('/').split('/', 1)[0].split('?', 1)[0]}"
            self.observe(Seen(name, status, started, self.clock.now(), failed))
        _refuse(response)
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    body = None
    if "json" in response.headers.get("content-type", ""):
        try:
            body = json.loads(response.content)
        except ValueError as error:
            if response.is_success:  # a body that broke off: the effect may be there
                raise LostAnswer("the answer broke off", over=True) from error
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
            "give the key read, write and delete on what the specs write: contacts, contact fields, "
            "products, purchases, custom events, imports",
        )
