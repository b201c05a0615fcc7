"""An httpx transport that judges every address it dials. Owns httpcore.

A name is looked up once, all its addresses are judged, and one of them is dialled as a literal: between the
verdict and the connection there is no second look-up to answer differently (DNS rebinding). `Host`, SNI and
the certificate check keep the name. A connection may be used again for the same origin, for it was judged.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, NoReturn

import httpcore
import httpx

from mmsent.errors import ImageError
from mmsent.images.addresses import Address, Network, may_dial

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
KEEP_ALIVE_S = 5.0


async def resolve_by_system(host: str, port: int) -> Sequence[Address]:
    """Addresses of `host`, the system's favourite first; OSError or UnicodeError if there are none.

    Every look-up has a thread of its own: one that hangs holds up neither another nor the program's end.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[Address]] = loop.create_future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            deliver(answer.set_result, list(dict.fromkeys(ip_address(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError, ValueError) as error:
            deliver(answer.set_exception, error)

    def deliver(settle: Callable[[Any], None], value: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if answer.done() else settle(value))

    threading.Thread(target=look_up, name="mmsent-resolve", daemon=True).start()
    return await answer


class JudgingBackend(httpcore.AsyncNetworkBackend):
    """Connects to nothing that `addresses.may_dial` refuses."""

    def __init__(self, resolve: Resolve, allowed: Sequence[tuple[Network, int]]) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises ImageError: `dns` or `forbidden_address`; httpcore's errors otherwise."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, ValueError) as error:
            raise ImageError("dns", host) from error
        if not addresses:
            raise ImageError("dns", host)
        if not all(may_dial(address, port, self._allowed) for address in addresses):
            raise ImageError("forbidden_address", host)
        return await self._sockets.connect_tcp(
            str(addresses[0]), port, timeout, local_address, socket_options
        )

    async def connect_unix_socket(self, *_: Any, **__: Any) -> NoReturn:
        """Always refused."""
        raise ImageError("forbidden_address", "a socket file")

    async def sleep(self, seconds: float) -> None:
        """As httpcore's."""
        await self._sockets.sleep(seconds)


class JudgingTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over `JudgingBackend`: no proxy, no retries. httpcore's errors come through as they are."""

    def __init__(self, backend: JudgingBackend, ssl_context: ssl.SSLContext, *, keep: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            max_keepalive_connections=keep,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and return as soon as the head of the answer is there."""
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()
