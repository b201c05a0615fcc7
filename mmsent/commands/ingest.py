"""`mmsent ingest`: posts onto a real Kafka."""

import asyncio
from functools import partial
from pathlib import Path
from urllib.parse import quote

from mmsent.broker import Publisher
from mmsent.commands.console import say, talk_console
from mmsent.embedded.ingest import Ingester
from mmsent.errors import InputError
from mmsent.settings import Settings
from mmsent.sources.replay import PostFile, open_posts


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
    sent = asyncio.run(_send(settings, posts, rate, _base(pictures_at)))
    say(f"{sent:,} posts are on {settings.topic('posts')}")


def _base(pictures_at: str | None) -> str:
    if pictures_at is None:
        return ""
    if not pictures_at.startswith(("http://", "https://")):
        raise InputError(f"--pictures-at {pictures_at!r} should begin with https:// or http://")
    return pictures_at.rstrip("/")


async def _send(settings: Settings, posts: PostFile, rate: float, base: str) -> int:
    def address(path: Path) -> str:
        return f"{base}/{quote(path.relative_to(posts.folder).as_posix())}"

    async with Publisher(settings) as publisher:
        ingester = Ingester(partial(publisher.send_all, settings.topic("posts")), rate=rate)
        sending = asyncio.ensure_future(ingester.run(post.with_addresses(address) for post in posts))
        with talk_console().status("sending …") as status:
            while not sending.done():
                status.update(f"{ingester.sent:,} of {len(posts):,} posts sent")
                await asyncio.wait([sending], timeout=0.2)
        sending.result()
    return ingester.sent
