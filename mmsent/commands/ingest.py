"""`mmsent ingest`: posts onto a real Kafka."""

import asyncio
import ipaddress
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from mmsent.broker import Publisher
from mmsent.commands.console import say, talk_console
from mmsent.embedded.ingest import Ingester, Timed, at_rate
from mmsent.embedded.pictures import PictureServer
from mmsent.embedded.topics import track_missing
from mmsent.errors import BrokerUnavailableError, InputError, MmsentError
from mmsent.settings import Settings
from mmsent.sources.replay import open_posts
from mmsent.sources.sample import sample_messages
from mmsent.sources.sample_texts import TOPICS


def replay(
    settings: Settings, file: Path, *, source: str | None, rate: float, pictures_at: str | None
) -> None:
    """Put the posts of `file` on the topic `posts`.

    Raises:
        InputError: the file is not good, or names local pictures that workers could not reach.
        BrokerUnavailableError: no broker answers; says how many posts were sent.
    """
    posts = open_posts(file, source)
    if posts.has_local_images and pictures_at is None:
        raise InputError(
            f"{posts.name} names pictures beside it, which workers cannot reach; serve {posts.folder} "
            "and give its address with --pictures-at"
        )
    base = _base(pictures_at)

    def address(path: Path) -> str:
        return f"{base}/{quote(path.relative_to(posts.folder).as_posix())}"

    messages = at_rate((post.with_addresses(address) for post in posts), rate)
    sent = asyncio.run(_send(settings, messages, of=f" of {len(posts):,}"))
    say(f"{sent:,} posts are on {settings.topic('posts')}")


def sample(settings: Settings, *, rate: float, seed: int, past_s: float, duration_s: float | None) -> None:
    """Put the sample on the topic `posts` until SIGINT, SIGTERM or the end of `duration_s`.

    A broker that goes away later is waited for.

    Raises:
        SetupError: the pictures cannot be served.
        BrokerUnavailableError: no broker answers, at the start or when told to stop.
    """

    async def run() -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        host = settings.pictures_host
        listen_on = host if _is_loopback(host) else "0.0.0.0"  # noqa: S104  # asked for
        async with PictureServer(host, settings.pictures_port, listen_on=listen_on) as pictures:
            say(_advice(pictures.endpoint))
            await _track_topics(settings, stopping)
            messages = sample_messages(pictures.address_of_drawing, seed=seed, rate=rate, past_s=past_s)
            return await _send(
                settings, messages, stopping=stopping, duration_s=duration_s, on_absence=_trying_on
            )

    sent = asyncio.run(run())
    say(f"{sent:,} messages are on {settings.topic('posts')}")


def _trying_on(error: BrokerUnavailableError) -> None:
    say(f"{error}; trying on until it is back")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _advice(endpoint: str) -> str:
    host, _, port = endpoint.rpartition(":")
    try:
        allowed = f"{ipaddress.ip_address(host)}:{port}"
    except ValueError:
        allowed = f"ADDRESS:{port}, where ADDRESS is {host}'s, or a network like 10.0.0.0/8"
    return f"pictures at http://{endpoint}/; workers fetch them with MMSENT_FETCH_ALLOW_PRIVATE={allowed}"


async def _track_topics(settings: Settings, stopping: asyncio.Event) -> None:
    """Track the sample's topics, and let running workers notice before the first post."""
    try:
        new = await asyncio.to_thread(track_missing, settings.resolved_database_url, TOPICS)
    except MmsentError as error:
        say(f"the sample's topics are not tracked from here: {error}")
        return
    if new:
        say(f"tracking {', '.join(new)}; posts follow in {settings.topics_refresh_s:g} s, once workers know")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), settings.topics_refresh_s)


def _base(pictures_at: str | None) -> str:
    if pictures_at is None:
        return ""
    if not pictures_at.startswith(("http://", "https://")):
        raise InputError(f"--pictures-at {pictures_at!r} should begin with https:// or http://")
    return pictures_at.rstrip("/")


async def _send(
    settings: Settings,
    messages: Iterable[Timed],
    *,
    of: str = "",
    stopping: asyncio.Event | None = None,
    duration_s: float | None = None,
    on_absence: Callable[[BrokerUnavailableError], None] | None = None,
) -> int:
    """Send `messages`, or those until `stopping` is set or the time is up; how many Kafka has."""
    async with Publisher(settings) as publisher:
        ingester = Ingester(partial(publisher.send_all, settings.topic("posts")), on_absence=on_absence)
        sending = asyncio.ensure_future(ingester.run(messages))
        loop = asyncio.get_running_loop()
        ends_at = None if duration_s is None else loop.time() + duration_s
        with talk_console().status("sending …") as status:
            while not sending.done():
                status.update(f"{ingester.sent:,}{of} posts sent")
                if (stopping and stopping.is_set()) or (ends_at and loop.time() > ends_at):
                    ingester.stop()
                await asyncio.wait([sending], timeout=0.2)
        sending.result()
    return ingester.sent
