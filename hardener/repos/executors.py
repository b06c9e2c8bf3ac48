"""Where plans are made: processes of this machine, or an existing Dask cluster, both as ``concurrent.futures``."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from hardener.repos.worker import end_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

ASK_SECONDS = 2.0


class ExecutorError(Exception):
    """No executor of that kind can be had; one line that says why and what to do."""


class Workers(NamedTuple):
    """An executor, how many calls it runs at once (asked again and again: a cluster grows), and whether it is far.

    A call to a far one costs so much that it is given several repositories, where they are quick.
    """

    executor: Executor
    width: Callable[[], int]
    is_far: bool = False


@contextmanager
def local_workers(jobs: int | None) -> Iterator[Workers]:
    """Yield an executor of this machine: one process for each of ``jobs`` threads, by default one a processor.

    The threads only wait for their processes (see `hardener.repos.worker`), so the death of one loses one task, where
    ``ProcessPoolExecutor`` loses its queue.
    """
    count = jobs or available_processors()
    executor = ThreadPoolExecutor(count, thread_name_prefix="harden")
    try:
        yield Workers(executor, lambda: count)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        end_all()


@contextmanager
def cluster(address: str) -> Iterator[Workers]:
    """Yield the executor of the Dask scheduler at ``address``; raises ``ExecutorError``.

    https://distributed.dask.org/en/stable/api.html#distributed.Client.get_executor: ``pure=False``, or two equal
    calls would be one.
    """
    try:
        from distributed import Client  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ExecutorError("--scheduler needs Dask: pip install 'hardener[distributed]'") from error
    try:
        client = Client(address, timeout=30, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ExecutorError(f"no Dask scheduler answers at {address}: {error}") from error
    try:
        yield Workers(
            client.get_executor(pure=False), now_and_then(lambda: sum(client.nthreads().values())), is_far=True
        )
    finally:
        client.close(timeout=10)


def now_and_then(count: Callable[[], int]) -> Callable[[], int]:
    """Return what counts workers, at least one, and asks for their number every few seconds only."""
    asked, known = -ASK_SECONDS, 1

    def width() -> int:
        nonlocal asked, known
        if monotonic() >= asked + ASK_SECONDS:
            known = max(1, count())
            asked = monotonic()
        return known

    return width


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
