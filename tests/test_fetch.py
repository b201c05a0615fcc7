import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, get_args

import httpcore
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mmsent import __version__
from mmsent.errors import ImageError
from mmsent.images.addresses import Address
from mmsent.images.dialling import JudgingBackend, resolve_by_system
from mmsent.images.fetch import ImageFetcher
from mmsent.posts import ImageErrorReason
from mmsent.settings import Settings

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def plain(body: bytes = PICTURE, status: str = "200 OK", **headers: str) -> Answer:
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): v for name, v in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return raw(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def redirect(location: str, status: str = "302 Found") -> Answer:
    return plain(b"", status, Location=location)


def raw(data: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def dripping(head: bytes, chunk: bytes, pause_s: float) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


class StrangerServer:
    """Answers each path as told, keeps what it was asked, counts who is there at once."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"/a.jpg": plain()}
        self.heads: list[str] = []
        self.connections = 0
        self.most_at_once = 0
        self.port = 0
        self._now = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=ssl_context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, path: str = "/a.jpg", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer((await reader.readuntil(b"\r\n\r\n")).decode(), writer):
                    pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> bool:
        path = head.split()[1].partition("?")[0]
        self.heads.append(head)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self.answers.get(path, plain(b"", "404 Not Found"))(writer)
        finally:
            self._now -= 1
        return not path.endswith("-close")


@pytest.fixture
async def server() -> AsyncIterator[StrangerServer]:
    server = StrangerServer()
    await server.start()
    yield server
    await server.stop()


class Names:
    """A resolver that answers from a table, in turn where there are several answers, and counts."""

    def __init__(self, **table: list[str] | list[list[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        with suppress(ValueError):
            return [ip_address(host)]
        self.asked.append(host)
        answers = self.table.get(host.partition(".")[0])
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if isinstance(answers[0], list):
            answers = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(str(answer)) for answer in answers]


def fetcher_for(*servers: StrangerServer, **options: Any) -> ImageFetcher:
    extra = {name: options.pop(name) for name in ("resolve", "ssl_context") if name in options}
    extra.setdefault("ssl_context", NO_CERTIFICATES)  # the real ones take a while to load
    allowed = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    values = {"fetch_allow_private": allowed, "fetch_deadline_s": 5.0, **options}
    return ImageFetcher(Settings(**values), **extra)


async def reason_of(fetcher: ImageFetcher, url: str) -> str:
    with pytest.raises(ImageError) as caught:
        await fetcher.fetch(url)
    assert caught.value.reason in get_args(ImageErrorReason)
    return caught.value.reason


# --- dialling


class RecordingSockets(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        raise httpcore.ConnectError("this is a test")


@pytest.mark.parametrize(
    ("addresses", "dialled"),
    [
        (["93.184.216.34", "2606:4700:4700::1111"], [("93.184.216.34", 443)]),
        (["2606:4700:4700::1111", "93.184.216.34"], [("2606:4700:4700::1111", 443)]),
        (["93.184.216.34", "10.0.0.1"], []),
        (["93.184.216.34", "::ffff:7f00:1"], []),
        (["64:ff9b::a9fe:a9fe"], []),
        ([], []),
    ],
)
async def test_judges_every_address_and_dials_one_literal(
    addresses: list[str], dialled: list[tuple[str, int]]
) -> None:
    names, sockets = Names(a=[addresses]), RecordingSockets()
    backend = JudgingBackend(names, [])
    backend._sockets = sockets  # type: ignore[assignment]  # stands in for the network
    with pytest.raises((httpcore.ConnectError, ImageError)):
        await backend.connect_tcp("a.test", 443)
    assert sockets.dialled == dialled
    assert names.asked == ["a.test"]


async def test_socket_files_are_refused() -> None:
    with pytest.raises(ImageError, match="forbidden_address"):
        await JudgingBackend(Names(), []).connect_unix_socket("/run/docker.sock")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "017700000001", "0", "localhost"])
async def test_disguises_of_this_machine_are_seen_through(host: str, server: StrangerServer) -> None:
    async with fetcher_for() as fetcher:
        assert await reason_of(fetcher, f"http://{host}/") == "forbidden_address"
    assert server.connections == 0


async def test_the_systems_resolver() -> None:
    assert list(await resolve_by_system("127.0.0.1", 80)) == [ip_address("127.0.0.1")]
    for host in ("no-such-name.invalid", "a" * 64 + ".test", "a..b"):
        with pytest.raises((OSError, UnicodeError)):
            await resolve_by_system(host, 80)


# --- what is fetched


async def test_fetches_the_bytes(server: StrangerServer) -> None:
    async with fetcher_for(server) as fetcher:
        assert await fetcher.fetch(server.url("/a.jpg?x=1#part")) == PICTURE


async def test_says_who_it_is_and_nothing_else(server: StrangerServer) -> None:
    server.answers["/a.jpg"] = plain(PICTURE, Set_Cookie="id=1; Path=/")
    async with fetcher_for(server) as fetcher:
        await fetcher.fetch(server.url())
        await fetcher.fetch(server.url())
    for head in server.heads:
        names = {line.partition(":")[0].lower() for line in head.splitlines()[1:] if line}
        assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert f"User-Agent: mmsent/{__version__}\r\n" in head
        assert "Accept-Encoding: identity\r\n" in head


async def test_a_connection_is_used_again_for_the_same_origin_only(server: StrangerServer) -> None:
    names = Names(a=["127.0.0.1"], b=["127.0.0.1"])
    async with fetcher_for(server, resolve=names) as fetcher:
        for host in ("a.test", "a.test", "b.test", "a.test"):
            await fetcher.fetch(server.url(host=host))
    assert server.connections == 2
    assert names.asked == ["a.test", "b.test"]
    assert f"Host: b.test:{server.port}" in server.heads[2]


async def test_heeds_no_proxy_and_no_netrc(
    server: StrangerServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with fetcher_for(server) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE
    assert "authorization" not in server.heads[0].lower()


async def test_without_a_length_the_end_of_the_connection_counts(server: StrangerServer) -> None:
    server.answers["/-close"] = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PICTURE)
    server.answers["/chunked"] = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with fetcher_for(server) as fetcher:
        assert await fetcher.fetch(server.url("/-close")) == PICTURE
        assert await fetcher.fetch(server.url("/chunked")) == b"abcde"


# --- what is refused


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.jpg",
        "//127.0.0.1/a.jpg",
        "file:///etc/passwd",
        "ftp://example.com/a.jpg",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://",
        "http:///a.jpg",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://me@example.com/a.jpg",
        "http://me:secret@example.com/a.jpg",
        "http://@example.com:80@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com:port/",
        "http://" + "a." * 130 + "com/",
        "http://%31%32%37.0.0.1/",
        "http://a\x00.com/",
        "\x00",
    ],
)
async def test_urls_that_are_none_of_the_webs(url: str) -> None:
    names = Names()
    async with fetcher_for(resolve=names) as fetcher:
        assert await reason_of(fetcher, url) == "invalid_url"
    assert not names.asked


@pytest.mark.parametrize("port", [0, 1, 22, 25, 6379, 8080, 9092, 65535, 99999])
async def test_odd_ports_are_refused(port: int) -> None:
    names = Names(a=["93.184.216.34"])
    async with fetcher_for(resolve=names) as fetcher:
        assert await reason_of(fetcher, f"http://a.test:{port}/") == "forbidden_address"
    assert not names.asked


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "http://evil.com\\@127.0.0.1/",
        "http://a.test/",
        "http://mixed.test/",
    ],
)
async def test_private_addresses_are_refused(url: str) -> None:
    names = Names(a=["192.168.0.1"], mixed=["93.184.216.34", "127.0.0.1"], evil=["127.0.0.1"])
    async with fetcher_for(resolve=names) as fetcher:
        assert await reason_of(fetcher, url) in {"forbidden_address", "invalid_url"}


@given(st.one_of(st.text(), st.text().map("http://".__add__), st.from_regex(r"https?://[!-~]{0,40}")))
@hypothesis_settings(deadline=None, max_examples=100)
def test_no_url_brings_about_anything_but_an_image_error(url: str) -> None:
    async def fetch() -> None:
        async with fetcher_for(resolve=Names()) as fetcher:
            with pytest.raises(ImageError):
                await fetcher.fetch(url)

    asyncio.run(fetch())


async def test_the_port_of_redis_beside_the_picture_server_is_refused(server: StrangerServer) -> None:
    redis = StrangerServer()
    await redis.start()
    server.answers["/to-redis"] = redirect(redis.url("/"))
    names = Names(rebound=["127.0.0.1"])
    async with fetcher_for(server, resolve=names) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE
        assert await reason_of(fetcher, redis.url("/")) == "forbidden_address"
        assert await reason_of(fetcher, redis.url("/", host="rebound.test")) == "forbidden_address"
        assert await reason_of(fetcher, redis.url("/", host="[::ffff:127.0.0.1]")) == "forbidden_address"
        assert await reason_of(fetcher, server.url("/to-redis")) == "forbidden_address"
    assert redis.connections == 0
    await redis.stop()


async def test_an_allowed_port_is_not_allowed_elsewhere(server: StrangerServer) -> None:
    names = Names(a=["93.184.216.34"], b=["127.0.0.2"])
    async with fetcher_for(server, resolve=names) as fetcher:
        assert await reason_of(fetcher, server.url(host="a.test")) == "forbidden_address"
        assert await reason_of(fetcher, server.url(host="b.test")) == "forbidden_address"


async def test_a_name_that_changes_its_mind_is_judged_each_time(server: StrangerServer) -> None:
    names = Names(a=[["127.0.0.1"], ["10.0.0.1"]])
    server.answers["/-close"] = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PICTURE)
    async with fetcher_for(server, resolve=names) as fetcher:
        assert await fetcher.fetch(server.url("/-close", host="a.test")) == PICTURE
        assert names.asked == ["a.test"]
        assert await reason_of(fetcher, server.url("/-close", host="a.test")) == "forbidden_address"
    assert names.asked == ["a.test"] * 2
    assert server.connections == 1


async def test_names_that_do_not_exist(server: StrangerServer) -> None:
    async with fetcher_for(server, resolve=Names(empty=[[]])) as fetcher:
        assert await reason_of(fetcher, "http://nobody.test/") == "dns"
        assert await reason_of(fetcher, "http://empty.test/") == "dns"


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_follows_redirects(server: StrangerServer, status: int) -> None:
    server.answers |= {
        "/1": redirect("/2", f"{status} There"),
        "/2": redirect(server.url("/3", host="b.test")),
        "/3": redirect("a.jpg"),
    }
    async with fetcher_for(server, resolve=Names(b=["127.0.0.1"])) as fetcher:
        assert await fetcher.fetch(server.url("/1")) == PICTURE
    assert all(head.startswith("GET ") for head in server.heads)


async def test_redirects_end(server: StrangerServer) -> None:
    server.answers |= {"/loop": redirect("/loop"), "/1": redirect("/a.jpg")}
    async with fetcher_for(server) as fetcher:
        assert await reason_of(fetcher, server.url("/loop")) == "redirects"
    assert len(server.heads) == 4
    async with fetcher_for(server, fetch_max_redirects=0) as fetcher:
        assert await reason_of(fetcher, server.url("/1")) == "redirects"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "forbidden_address"),
        ("http://private.test/", "forbidden_address"),
        ("http://169.254.169.254/latest/", "forbidden_address"),
        ("//10.0.0.1/a.jpg", "forbidden_address"),
        ("http://a.test:6379/", "forbidden_address"),
        ("file:///etc/passwd", "invalid_url"),
        ("http://me:secret@a.test/", "invalid_url"),
        ("http://[::1", "redirects"),
        ("http://a.test:port/", "redirects"),
        ("http://nobody.test/", "dns"),
    ],
)
async def test_each_hop_is_judged(server: StrangerServer, location: str, reason: str) -> None:
    server.answers["/1"] = redirect(location)
    async with fetcher_for(server, resolve=Names(a=["93.184.216.34"], private=["172.16.0.1"])) as fetcher:
        assert await reason_of(fetcher, server.url("/1")) == reason


async def test_a_redirect_to_nowhere_is_a_status(server: StrangerServer) -> None:
    server.answers["/1"] = plain(b"", "302 Found")
    async with fetcher_for(server) as fetcher:
        assert await reason_of(fetcher, server.url("/1")) == "http_status"


# --- answers


@pytest.mark.parametrize(
    "status", ["204 None", "206 Part", "304 Same", "403 No", "404 No", "429 Slow", "503 No"]
)
async def test_only_200_counts(server: StrangerServer, status: str) -> None:
    server.answers["/x"] = plain(b"" if status[:3] in {"204", "304"} else PICTURE, status)
    async with fetcher_for(server) as fetcher:
        assert await reason_of(fetcher, server.url("/x")) == "http_status"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x"])
async def test_encodings_are_refused(server: StrangerServer, encoding: str) -> None:
    server.answers["/x"] = plain(PICTURE, Content_Encoding=encoding)
    async with fetcher_for(server) as fetcher:
        assert await reason_of(fetcher, server.url("/x")) == "encoding"


async def test_identity_by_name_is_none(server: StrangerServer) -> None:
    server.answers["/x"] = plain(PICTURE, Content_Encoding="Identity")
    async with fetcher_for(server) as fetcher:
        assert await fetcher.fetch(server.url("/x")) == PICTURE


async def test_the_byte_cap_holds_for_what_is_said_and_what_is_sent(server: StrangerServer) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n"
    server.answers |= {
        "/said": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"),
        "/endless": dripping(endless, b"x" * 100, 0),
        "/chunked": dripping(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n", 0
        ),
        "/full": plain(b"x" * 1000),
        "/over": plain(b"x" * 1001),
    }
    async with fetcher_for(server, image_max_bytes=1000) as fetcher:
        for path in ("/said", "/endless", "/chunked", "/over"):
            assert await reason_of(fetcher, server.url(path)) == "too_many_bytes"
        assert len(await fetcher.fetch(server.url("/full"))) == 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"-ERR unknown command\r\n",
        b"HTTP/1.1 200\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=range(14),
)
async def test_broken_answers_cost_only_themselves(server: StrangerServer, answer: bytes) -> None:
    server.answers["/x-close"] = raw(answer)
    async with fetcher_for(server) as fetcher:
        assert await reason_of(fetcher, server.url("/x-close")) in {"connect", "http_status", "redirects"}
        assert await fetcher.fetch(server.url()) == PICTURE


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with ImageFetcher(Settings(fetch_allow_private=f"127.0.0.1:{port}")) as fetcher:
            assert await reason_of(fetcher, f"http://127.0.0.1:{port}/") == "connect"


# --- time and turns


@pytest.mark.parametrize("path", ["/silent", "/drip-head", "/drip-body", "/drip-redirects"])
async def test_one_deadline_over_everything(server: StrangerServer, path: str) -> None:
    async def slow_redirect(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await redirect("/drip-redirects")(writer)

    server.answers |= {
        "/silent": silent,
        "/drip-head": dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
        "/drip-body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", 0.05),
        "/drip-redirects": slow_redirect,
    }
    async with fetcher_for(server, fetch_deadline_s=0.5, fetch_max_redirects=50) as fetcher:
        started = time.monotonic()
        assert await reason_of(fetcher, server.url(path)) == "timeout"
        assert 0.4 < time.monotonic() - started < 2


async def test_the_deadline_counts_the_look_up() -> None:
    async def never(host: str, port: int) -> Sequence[Address]:
        await asyncio.sleep(60)
        return []

    async with fetcher_for(resolve=never, fetch_deadline_s=0.2) as fetcher:
        started = time.monotonic()
        assert await reason_of(fetcher, "http://a.test/") == "timeout"
        assert time.monotonic() - started < 2


async def test_so_many_at_once_and_so_many_of_one_host(server: StrangerServer) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await plain()(writer)

    server.answers["/a.jpg"] = slow
    names = Names(**{name: ["127.0.0.1"] for name in "abcdef"})
    limits = {"fetch_max_concurrent": 5, "fetch_max_concurrent_per_host": 2}
    async with fetcher_for(server, resolve=names, **limits) as fetcher:
        await asyncio.gather(*(fetcher.fetch(server.url(host="a.test")) for _ in range(8)))
        assert server.most_at_once == 2
        await asyncio.gather(*(fetcher.fetch(server.url(host=f"{name}.test")) for name in "abcdef" * 3))
        assert server.most_at_once == 5


async def test_a_host_that_hangs_holds_up_nobody_else(server: StrangerServer) -> None:
    server.answers["/silent"] = silent
    names = Names(a=["127.0.0.1"], b=["127.0.0.1"])
    async with fetcher_for(server, resolve=names, fetch_deadline_s=1.0) as fetcher:
        started = time.monotonic()
        hanging = [
            asyncio.create_task(reason_of(fetcher, server.url("/silent", "a.test"))) for _ in range(200)
        ]
        await asyncio.sleep(0)
        assert await fetcher.fetch(server.url(host="b.test")) == PICTURE
        assert time.monotonic() - started < 1
        assert set(await asyncio.gather(*hanging)) == {"timeout"}
        assert time.monotonic() - started < 6


async def test_a_host_that_is_only_busy_is_waited_for(server: StrangerServer) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await plain()(writer)

    server.answers["/a.jpg"] = slow
    limits = {"fetch_deadline_s": 0.6, "fetch_max_concurrent_per_host": 1}
    async with fetcher_for(server, **limits) as fetcher:
        started = time.monotonic()
        pictures = await asyncio.gather(*(fetcher.fetch(server.url()) for _ in range(8)))
        assert pictures == [PICTURE] * 8
        assert time.monotonic() - started > 1.5


async def test_who_is_cancelled_leaves_the_place_to_the_next(server: StrangerServer) -> None:
    server.answers["/silent"] = silent
    async with fetcher_for(server, fetch_max_concurrent=1) as fetcher:
        inside, waiting = (asyncio.create_task(fetcher.fetch(server.url("/silent"))) for _ in range(2))
        await asyncio.sleep(0.1)
        last = asyncio.create_task(fetcher.fetch(server.url()))
        await asyncio.sleep(0)
        waiting.cancel()
        inside.cancel()
        results = await asyncio.gather(inside, waiting, last, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2 + [bytes]
        assert not fetcher._slots_of_host._slots


# --- logs


async def test_logs_name_the_host_and_the_reason_but_never_the_url(
    server: StrangerServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers["/secret-path"] = redirect("/secret-too?token=secret-token")
    async with fetcher_for(server) as fetcher:
        with capture_logs() as lines:
            assert await reason_of(fetcher, server.url("/secret-path?token=secret-token")) == "http_status"
            assert await reason_of(fetcher, "http://me:secret@a.test/secret") == "invalid_url"
            assert await reason_of(fetcher, "http://b.test:1/secret") == "forbidden_address"
    assert [(line["host"], line["reason"]) for line in lines] == [
        ("127.0.0.1", "http_status"),
        ("a.test", "invalid_url"),
        ("b.test", "forbidden_address"),
    ]
    assert "secret" not in str(lines) + caplog.text


# --- TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, for a.test alone."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs the program openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "a.test.pem"
    subprocess.run(
        f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=a.test -addext subjectAltName=DNS:a.test -keyout a.test.pem -out a.test.pem.crt".split(),
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    with path.open("a") as file:
        file.write(Path(str(path) + ".crt").read_text())
    return path


@pytest.fixture
async def secure(certificate: Path) -> AsyncIterator[StrangerServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = StrangerServer()
    await server.start(context)
    yield server
    await server.stop()


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate) + ".crt")


async def test_the_certificate_must_fit_the_name(secure: StrangerServer, certificate: Path) -> None:
    names = Names(a=["127.0.0.1"], b=["127.0.0.1"])
    async with fetcher_for(secure, resolve=names, ssl_context=trusting(certificate)) as fetcher:
        assert await fetcher.fetch(secure.url(host="a.test", scheme="https")) == PICTURE
        assert await reason_of(fetcher, secure.url(host="b.test", scheme="https")) == "tls"
        assert await reason_of(fetcher, secure.url(scheme="https")) == "tls"
    assert len(secure.heads) == 1


async def test_an_unknown_certificate_is_refused(secure: StrangerServer) -> None:
    settings = Settings(fetch_allow_private=f"127.0.0.1:{secure.port}")
    async with ImageFetcher(settings, resolve=Names(a=["127.0.0.1"])) as fetcher:
        assert await reason_of(fetcher, secure.url(host="a.test", scheme="https")) == "tls"


async def test_no_way_back_from_https_to_http(
    secure: StrangerServer, server: StrangerServer, certificate: Path
) -> None:
    secure.answers["/down"] = redirect(server.url())
    server.answers["/up"] = redirect(secure.url(host="a.test", scheme="https"))
    options = {"resolve": Names(a=["127.0.0.1"]), "ssl_context": trusting(certificate)}
    async with fetcher_for(secure, server, **options) as fetcher:
        assert await reason_of(fetcher, secure.url("/down", "a.test", "https")) == "redirects"
        assert not server.heads
        assert await fetcher.fetch(server.url("/up")) == PICTURE


async def test_tls_with_someone_who_speaks_none() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with ImageFetcher(Settings(fetch_allow_private=address)) as fetcher:
            assert await reason_of(fetcher, f"https://{address}/") == "tls"
