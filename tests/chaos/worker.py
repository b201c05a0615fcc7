"""The real worker, watched from outside: it notes what it takes, and dies at a named point when told to.

Nothing of this is in the product: its own methods are wrapped here. SIGUSR1 makes it read the point and the
count of passings from the file CHAOS_ORDERS; CHAOS_JOURNAL is the file where it notes records (`r partition
offset`) and assignments (`a count`).
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from mmsent.broker import PostConsumer
from mmsent.pipeline import Delivery
from mmsent.store import writes
from worker.__main__ import main
from worker.intake import Intake

POINTS = ("polled", "scored", "before_commit", "after_commit", "after_redis", "after_scores")


class Bomb:
    """kill -9 from within."""

    def __init__(self, orders: Path) -> None:
        self._orders = orders
        self._point = ""
        self._passings = 0

    def arm(self, *_: object) -> None:
        point, passings = self._orders.read_text().split()
        self._point, self._passings = point, int(passings)

    def pass_by(self, point: str) -> None:
        if point and point == self._point:
            self._passings -= 1
            if self._passings <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def after(owner: Any, name: str, then: Callable[[tuple[Any, ...], Any], object]) -> None:
    """Call `then(arguments, result)` when `owner.name` has returned."""
    original = getattr(owner, name)

    @wraps(original)
    async def wrapped(*arguments: Any) -> Any:
        result = await original(*arguments)
        then(arguments, result)
        return result

    setattr(owner, name, wrapped)


def watch(bomb: Bomb, note: Callable[[str], object]) -> None:
    """Wrap what a record passes, in its order."""
    take, assigned = Intake.item, PostConsumer._assigned

    async def item(self: Intake, record: Any) -> Any:
        note(f"r {record.partition} {record.offset}\n")
        return await take(self, record)

    def on_assigned(self: PostConsumer, partitions: Any) -> None:
        note(f"a {len(partitions)}\n")
        assigned(self, partitions)

    setattr(Intake, "item", item)  # noqa: B010  # so that the type checker lets us
    setattr(PostConsumer, "_assigned", on_assigned)  # noqa: B010
    after(PostConsumer, "poll", lambda _, records: bomb.pass_by("polled" if records else ""))
    after(Intake, "item", lambda *_: bomb.pass_by("scored"))
    after(writes, "_write", lambda given, _: bomb.pass_by("before_commit" if given[1] else ""))
    after(Delivery, "write", lambda given, _: bomb.pass_by("after_commit" if given[1] else ""))
    after(Delivery, "show", lambda *_: bomb.pass_by("after_redis"))
    after(Delivery, "announce", lambda *_: bomb.pass_by("after_scores"))


def run() -> NoReturn:
    """To be called by `python -c`: the main module is imported again in every decoding process."""
    bomb = Bomb(Path(os.environ["CHAOS_ORDERS"]))
    signal.signal(signal.SIGUSR1, bomb.arm)
    journal = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    watch(bomb, lambda line: os.write(journal, line.encode()))
    sys.exit(main())
