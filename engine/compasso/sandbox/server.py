"""The sandbox over real HTTP: in the foreground, or in a thread for tests and the demo."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Callable
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from compasso.model import CompassoError
from compasso.sandbox.app import ConnectionDropped, create_app
from compasso.sandbox.seed import SeedError, seed
from compasso.sandbox.settings import SandboxSettings


def _listen(host: str, port: int) -> socket.socket:
    # Named as TCP, so that the event loop turns Nagle's delay off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From now on a request waits rather than fails: the address may be told.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CompassoError.say(
            f"cannot listen at {host}:{port}: {error.strerror}", "choose another --port"
        ) from error
    return listener


class _DropConnections:
    """Hang up where a fault asks for it: no answer leaves, not even an error's.

    An answer that was begun but not finished makes uvicorn close the connection.
    """

    def __init__(self, app: Starlette) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dropped = False

        async def held(message: Message) -> None:
            nonlocal dropped
            # Starlette answers every error with this; it must not leave.
            if message["type"] == "http.response.start":
                plain = (b"content-type", b"text/plain; charset=utf-8") in message["headers"]
                dropped = message["status"] == 500 and plain
            if not dropped:
                await send(message)

        try:
            await self.app(scope, receive, held)
        except ConnectionDropped:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            _DropConnections(app),
            log_config=None,
            log_level="critical",  # a fault that drops a connection is no error of the server
            access_log=False,
            date_header=False,  # the API's answers have the account's time
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )


def serve(
    settings: SandboxSettings,
    host: str,
    port: int,
    ready: Callable[[str], None],
    contents: object = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address.

    `contents` is put into an account that is still empty (see `seed`). Raises CompassoError.
    """
    listener = _listen(host, port)
    address = f"http://{host}:{listener.getsockname()[1]}"
    app = create_app(dataclasses.replace(settings, address=address))
    try:
        if contents is not None and not any(app.state.sandbox.account.records.values()):
            _fill(app, contents)
        with contextlib.suppress(KeyboardInterrupt):
            ready(address)
            _server(app).run(sockets=[listener])
    finally:
        app.state.sandbox.account.close()


def _fill(app: Starlette, contents: object) -> None:
    try:
        seed(app.state.sandbox, contents)
    except SeedError as error:
        raise CompassoError.say(
            f"the seed cannot be used: {error}", "docs/sandbox.md tells what a seed holds"
        ) from None


class RunningSandbox:
    """A sandbox in a thread on a free port, for as long as the context lasts."""

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.url = ""

    def __enter__(self) -> RunningSandbox:
        listener = _listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.app = create_app(dataclasses.replace(self.settings, address=self.url))
        self._server = _server(self.app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self.app.state.sandbox.account.close()
