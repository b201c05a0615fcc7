"""Processes that may be killed: work that hangs, crashes or eats memory costs only itself. Owns pebble."""

import asyncio
import math
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pebble import ProcessExpired, ProcessPool
from pebble.pool.process import WORKERS_NAME

from mmsent.errors import ImageError

log = structlog.get_logger(__name__)

RECYCLE_AFTER = 500  # pieces of work, after which a process makes room for a fresh one
START_PATIENCE_S = 60.0  # the fork server's imports take two seconds, on a busy machine many times that


class KillableProcesses:
    """A few processes that run functions, each call under a time limit, each process under a memory limit.

    They start with `open()` or the first `run()`, from a fork server: safe beside threads, and a fresh one
    is there within milliseconds, unless the program's main module imports much: Python imports that again
    in each. `prepare` runs first in each. One event loop uses them. The fork server itself, idle, ends with
    this program.
    """

    def __init__(
        self, count: int, *, timeout_s: float, max_memory_mib: int, prepare: Callable[[], None]
    ) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._prepare = partial(_prepare_process, prepare, max_memory_mib)
        self._slots = asyncio.Semaphore(2 * count)
        self._pool: ProcessPool | None = None
        self._starting: asyncio.Task[ProcessPool] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def open(self) -> None:
        """Start the processes; one of them is ready when this returns."""
        await self._ready_pool()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, both of which can be pickled. A caller that is cancelled just stops waiting.

        Raises:
            ImageError: `decode_timeout`; `decode_crash` if the process died or `function` raised.
        """
        call = _Call(function, args, self._timeout_s)
        async with self._slots:
            try:
                result = await self._run_or_replace(call)
            except BrokenProcessPool:
                result = await self._run_or_replace(call, last=True)
        if isinstance(result, _Raised):
            raise ImageError("decode_crash", result.name)
        return result

    def close(self) -> None:
        """End every process, busy or not; whoever still waits gets `decode_crash`."""
        self._closed = True
        if pool := self._take_pool():
            _stop(pool)

    async def _run_or_replace(self, call: "_Call", *, last: bool = False) -> Any:
        pool = await self._ready_pool()
        try:
            return await self._result(pool, call)
        except TimeoutError as error:
            raise ImageError("decode_timeout") from error
        except ProcessExpired as error:
            if error.exitcode == -signal.SIGTERM and not last:  # somebody ends us, it is not the work's fault
                raise BrokenProcessPool from error
            log.warning("decode_process_died", exit_code=error.exitcode)
            raise ImageError("decode_crash", f"exit code {error.exitcode}") from error
        except RuntimeError as error:  # pebble's own words for a pool that broke or was stopped
            await self._replace(pool)
            if last or self._closed:
                raise ImageError("decode_crash", "the decoding processes are gone") from error
            raise BrokenProcessPool from error

    async def _result(self, pool: ProcessPool, call: "_Call") -> Any:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        self._waiting.add(waiter)
        try:
            task = pool.schedule(call, timeout=self._timeout_s)
            task.add_done_callback(partial(_hand_over, loop, waiter))
            async with asyncio.timeout(4 * self._timeout_s + 10) as patience:
                return await waiter
        except TimeoutError as error:
            if patience.expired():
                raise BrokenProcessPool("no answer") from error
            raise
        finally:
            self._waiting.discard(waiter)

    async def _ready_pool(self) -> ProcessPool:
        if self._closed:
            raise ImageError("decode_crash", "the decoder is closed")
        if self._pool is not None:
            return self._pool
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> ProcessPool:
        if self._stopping:  # it would take those that just start with it
            await asyncio.wait([self._stopping])
        pool = self._pool = await asyncio.to_thread(_start, self._count, self._prepare)
        if self._closed:
            self.close()
        return pool

    async def _replace(self, pool: ProcessPool) -> None:
        if self._pool is pool:
            log.warning("decode_pool_broke")
            self._take_pool()
            self._stopping = asyncio.create_task(asyncio.to_thread(_stop, pool))
            await asyncio.shield(self._stopping)

    def _take_pool(self) -> ProcessPool | None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(BrokenProcessPool("stopped"))
        pool, self._pool = self._pool, None
        return pool


@dataclass(frozen=True)
class _Call:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout_s: float

    def __call__(self) -> Any:
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + self.timeout_s) + 1)  # if nobody kills us
        try:
            return self.function(*self.args)
        except Exception as error:  # noqa: BLE001 - told apart from pebble's own errors on the other side
            return _Raised(type(error).__name__)


@dataclass(frozen=True)
class _Raised:
    name: str


def _start(count: int, prepare: Callable[[], None]) -> ProcessPool:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mmsent.images.decode"])
    pool = ProcessPool(count, RECYCLE_AFTER, prepare, (), context)
    try:
        pool.schedule(os.getpid).result(START_PATIENCE_S)  # a slow start is not work that hangs
    except (RuntimeError, ProcessExpired, TimeoutError) as error:
        _stop(pool)
        raise ImageError("decode_crash", "the decoding processes did not start") from error
    return pool


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates only part of itself
    for process in multiprocessing.active_children():
        if process.name == WORKERS_NAME:  # one that is just starting would miss what join() takes away
            process.terminate()
    pool.join()


def _hand_over(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any], task: Future[Any]) -> None:
    def settle() -> None:
        if waiter.done():
            return
        if error := task.exception():
            waiter.set_exception(error)
        else:
            waiter.set_result(task.result())

    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)


def _prepare_process(prepare: Callable[[], None], max_memory_mib: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a Python handler would not run while a decoder hangs
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, in_use + max_memory_mib * 1024 * 1024)
    _limit(resource.RLIMIT_CORE, 0)
    prepare()


def _limit(what: int, soft: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
