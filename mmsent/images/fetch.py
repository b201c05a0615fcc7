"""A stranger's URL → the bytes of a picture, or the reason why not."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpcore
import httpx
import structlog

from mmsent import __version__
from mmsent.errors import ImageError
from mmsent.images.addresses import WEB_PORTS
from mmsent.images.dialling import JudgingBackend, JudgingTransport, Resolve, resolve_by_system
from mmsent.images.slots import Slots, SlotsByName
from mmsent.settings import Settings, parse_endpoint

log = structlog.get_logger(__name__)

HEADERS = {
    "User-Agent": f"mmsent/{__version__}",
    "Accept": "image/jpeg, image/png, image/webp, image/gif",
    "Accept-Encoding": "identity",  # a few kilobytes of gzip may be gigabytes
}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_HOST_LENGTH = 253  # RFC 1035 2.3.4, as text


class ImageFetcher:
    """Fetches pictures within a deadline, a byte cap and the public web.

    Sends no cookies and no credentials, heeds no proxy settings. `resolve` and `ssl_context` are for tests
    and for those who bring their own resolver or certificates.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolve = resolve_by_system,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        allowed = [parse_endpoint(entry) for entry in settings.fetch_allow_private]
        self._ports = WEB_PORTS | {port for _, port in allowed}
        self._deadline_s = settings.fetch_deadline_s
        self._max_redirects = settings.fetch_max_redirects
        self._max_bytes = settings.image_max_bytes
        self._slots = Slots(settings.fetch_max_concurrent, patience_s=self._deadline_s)
        self._slots_of_host = SlotsByName(settings.fetch_max_concurrent_per_host, patience_s=self._deadline_s)
        for name in ("httpx", "httpcore"):  # both would log full URLs, which may hold secrets
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            transport=JudgingTransport(
                JudgingBackend(resolve, allowed),
                ssl_context or httpx.create_ssl_context(trust_env=False),
                keep=settings.fetch_max_concurrent,
            ),
            headers=HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=None,  # noqa: S113 - one deadline over everything instead
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def fetch(self, url: str) -> bytes:
        """What `url` answers with status 200.

        The deadline counts from the first look-up to the last byte, redirects included. Before that the
        request may wait for a free slot, as `slots.Slots` says.

        Raises:
            ImageError: `invalid_url`, `forbidden_address`, `dns`, `connect` (or the exchange broke off),
                `tls`, `timeout`, `http_status`, `redirects`, `encoding` or `too_many_bytes`.
        """
        target = httpx.URL()
        try:
            target = _parsed(url)
            return await self._follow(self._checked(target))
        except ImageError as refusal:
            log.info("picture_not_fetched", host=target.host, reason=refusal.reason, detail=str(refusal))
            raise
        except Exception as error:  # whatever a stranger's server brings about costs this picture only
            reason = _reason(error)
            log.info("picture_not_fetched", host=target.host, reason=reason, detail=type(error).__name__)
            raise ImageError(reason, target.host) from error

    async def _follow(self, target: httpx.URL) -> bytes:
        async with asyncio.timeout(None) as deadline:
            for _ in range(self._max_redirects + 1):
                async with self._slot(target.host):
                    if deadline.when() is None:
                        deadline.reschedule(asyncio.get_running_loop().time() + self._deadline_s)
                    answer = await self._get(target)
                if isinstance(answer, bytes):
                    return answer
                target = answer
        raise ImageError("redirects", f"more than {self._max_redirects}")

    @asynccontextmanager
    async def _slot(self, host: str) -> AsyncIterator[None]:
        async with self._slots_of_host.one(host), self._slots.one():
            yield

    async def _get(self, target: httpx.URL) -> bytes | httpx.URL:
        request = self._client.build_request("GET", target)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code in REDIRECTS and response.next_request is not None:
                return self._redirected(target, response.next_request.url)
            return await self._body(response)
        finally:
            await response.aclose()

    def _redirected(self, origin: httpx.URL, target: httpx.URL) -> httpx.URL:
        if origin.scheme == "https" and target.scheme == "http":
            raise ImageError("redirects", "from https to http")
        return self._checked(target)

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise ImageError("http_status", str(response.status_code))
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise ImageError("encoding", encoding[:20])
        if int(response.headers.get("Content-Length", "0")) > self._max_bytes:
            raise ImageError("too_many_bytes", f"more than {self._max_bytes}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise ImageError("too_many_bytes", f"more than {self._max_bytes}")
        return bytes(body)

    def _checked(self, target: httpx.URL) -> httpx.URL:
        if target.scheme not in ("http", "https") or target.userinfo:
            raise ImageError("invalid_url", "only http and https, without a user")
        if not target.host or len(target.raw_host) > MAX_HOST_LENGTH or "%" in target.host:
            raise ImageError("invalid_url", "no proper host")
        port = target.port if target.port is not None else {"http": 80, "https": 443}[target.scheme]
        if port not in self._ports:
            raise ImageError("forbidden_address", f"port {port}")
        return target


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise ImageError("invalid_url") from error


def _reason(error: Exception) -> str:
    if isinstance(error, (TimeoutError, httpcore.TimeoutException)):
        return "timeout"
    if isinstance(
        error, (httpx.RemoteProtocolError, httpx.InvalidURL)
    ):  # of httpx only a Location it cannot read
        return "redirects"
    return "tls" if _comes_of_tls(error) else "connect"


def _comes_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
