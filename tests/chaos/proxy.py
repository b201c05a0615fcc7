"""A TCP proxy in front of PostgreSQL that can be silent, cut connections, or lose the reply to a COMMIT."""

import asyncio
from contextlib import suppress
from typing import Self

COMMIT = b"COMMIT\0"  # as a command to the server, and in its reply


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.committing = False
        self.forgotten = False  # neither side hears of the other any more

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Proxy:
    """Passes bytes on. `port` is where it listens, while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self.replies_to_lose = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._open.clear()

    def speak(self) -> None:
        self._open.set()

    def forget(self) -> None:
        """What is connected now never hears of its server again; new connections work."""
        for link in self._links:
            link.forgotten = True

    def cut(self) -> None:
        for link in list(self._links):
            link.cut()

    def refuse(self, *, refusing: bool) -> None:
        self._refusing = refusing
        if refusing:
            self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._open.wait()
            if not self._refusing:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or the proxy is closed
        finally:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            pumps = [
                asyncio.create_task(self._pump(link, reader, to_server, asked=True)),
                asyncio.create_task(self._pump(link, from_server, writer, asked=False)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            link.cut()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(
        self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asked: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._open.wait()
                if link.forgotten:
                    continue
                if asked and self.replies_to_lose and COMMIT in data:
                    link.committing = True
                if not asked and link.committing and COMMIT in data and self.replies_to_lose:
                    self.replies_to_lose -= 1
                    return
                sink.write(data)
                await sink.drain()
