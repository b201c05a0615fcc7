"""A picture server for posts of files: it has exactly the pictures it was given, and no paths."""

import mimetypes
import secrets
from pathlib import Path
from typing import Self

from aiohttp import web

HOST = "127.0.0.1"


class PictureServer:
    """Serves pictures on a free port of this machine while it is open.

    A picture's address is a random word; nothing of an address is ever used as a path.
    """

    def __init__(self) -> None:
        self._pictures: dict[str, Path | bytes] = {}
        self._words: dict[Path | str, str] = {}
        self._runner: web.AppRunner | None = None
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{word}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.endpoint = f"{HOST}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def address_of(self, path: Path) -> str:
        """Address of a picture that lies at `path`."""
        return self._address(path, path)

    def address_of_bytes(self, name: str, data: bytes) -> str:
        """Address of a picture in memory; `name` tells one from another and is not part of it."""
        return self._address(name, data)

    def _address(self, key: Path | str, picture: Path | bytes) -> str:
        word = self._words.get(key)
        if word is None:
            word = self._words[key] = secrets.token_urlsafe(12)
            self._pictures[word] = picture
        return f"http://{self.endpoint}/{word}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        picture = self._pictures.get(request.match_info["word"])
        if picture is None:
            raise web.HTTPNotFound
        if isinstance(picture, bytes):
            return web.Response(body=picture, content_type="image/jpeg")
        kind = mimetypes.guess_type(picture.name)[0] or "application/octet-stream"
        return web.FileResponse(picture, headers={"Content-Type": kind})
