"""A host of three pictures that answers well, slowly or without end."""

import asyncio
import io
from typing import Literal, Self

from aiohttp import web
from PIL import Image

from tests.chaos.truth import LABELS, Label

SHADES: dict[Label, int] = {"positive": 230, "neutral": 128, "negative": 20}  # what the stub takes them for
Manner = Literal["normal", "slow", "endless"]


class PictureHost:
    """Serves `pictures` (label → URL) while it is open."""

    def __init__(self) -> None:
        self.manner: Manner = "normal"
        self.endpoint = ""
        self._files = {label: _jpeg(SHADES[label]) for label in LABELS}

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{label}.jpg", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.manner = "normal"
        await self._runner.cleanup()

    @property
    def pictures(self) -> dict[Label, str]:
        return {label: f"http://{self.endpoint}/{label}.jpg" for label in LABELS}

    @property
    def _strange(self) -> bool:
        return self.manner != "normal"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        data = next(file for label, file in self._files.items() if label == request.match_info["label"])
        if not self._strange:
            return web.Response(body=data, content_type="image/jpeg")
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        await response.prepare(request)
        while self._strange:
            await response.write(data[:1] if self.manner == "slow" else bytes(65536))
            await asyncio.sleep(0.5 if self.manner == "slow" else 0.05)
        return response


def _jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (240, 180), (shade, shade, shade)).save(file, "JPEG")
    return file.getvalue()
