"""A picture server for files and the sample: it has exactly the pictures it was given, and no paths."""

import asyncio
import mimetypes
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Self

from aiohttp import web

from mmsent.errors import SetupError

HOST = "127.0.0.1"


class PictureServer:
    """Serves pictures from a port of this machine while it is open; by default any free one of 127.0.0.1.

    A picture's address is a random word; nothing of an address is ever used as a path. `endpoint` is what
    addresses name: `host` and port; workers on other machines need a `host` that leads here, and `listen_on`.
    """

    def __init__(self, host: str = HOST, port: int = 0, *, listen_on: str = HOST) -> None:
        self._pictures: dict[str, Path | _Drawing] = {}
        self._words: dict[Path | str, str] = {}
        self._runner: web.AppRunner | None = None
        self._host = host
        self._port = port
        self._listen_on = listen_on
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            SetupError: the port cannot be used.
        """
        application = web.Application()
        application.router.add_get("/{word}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._listen_on, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise SetupError(
                f"pictures cannot be served from port {self._port} ({error.strerror}); choose another port"
            ) from error
        self.endpoint = f"{self._host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def address_of(self, path: Path) -> str:
        """Address of a picture that lies at `path`."""
        return self._address(path, path)

    def address_of_drawing(self, name: str, draw: Callable[[], bytes]) -> str:
        """Address of a JPEG that `draw` makes in a thread when it is first asked for; then it is kept.

        `name` tells one from another and is not part of the address.
        """
        return self._address(name, _Drawing(draw))

    def _address(self, key: Path | str, picture: "Path | _Drawing") -> str:
        word = self._words.get(key)
        if word is None:
            word = self._words[key] = secrets.token_urlsafe(12)
            self._pictures[word] = picture
        return f"http://{self.endpoint}/{word}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        picture = self._pictures.get(request.match_info["word"])
        if picture is None:
            raise web.HTTPNotFound
        if isinstance(picture, _Drawing):
            return web.Response(body=await picture.data(), content_type="image/jpeg")
        kind = mimetypes.guess_type(picture.name)[0] or "application/octet-stream"
        return web.FileResponse(picture, headers={"Content-Type": kind})


class _Drawing:
    """A picture that is drawn when it is first asked for."""

    def __init__(self, draw: Callable[[], bytes]) -> None:
        self._draw = draw
        self._drawn: asyncio.Future[bytes] | None = None

    async def data(self) -> bytes:
        if self._drawn is None:
            self._drawn = asyncio.ensure_future(asyncio.to_thread(self._draw))
        return await asyncio.shield(self._drawn)  # who asked may go away; others still want it
