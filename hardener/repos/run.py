"""The driver: hands repositories to workers, takes their plans back, and lets the one writer act on them in turn."""

from __future__ import annotations

import heapq
import random
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hardener.repos.journal import Applied
from hardener.repos.plan import OF_THE_MACHINE
from hardener.repos.stops import Stopped, WriteError
from hardener.repos.values import Kind, Plan, failed
from hardener.repos.worker import plan_kept
from hardener.repos.writer import write_in_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from hardener.repos.executors import Workers
    from hardener.repos.journal import Journal
    from hardener.repos.sources import Source
    from hardener.repos.values import Task
    from hardener.repos.writer import Writer

# Tasks handed out for each worker: enough that none waits for the way to a cluster and back, few enough that little is
# held in memory.
AHEAD = 4
TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Retries:
    """How often the network is asked again, and after how many seconds (doubled each time, and spread)."""

    most: int = 4
    seconds: float = 2.0

    def delay(self, attempt: int) -> float:
        """Return how long to wait after so many attempts."""
        return float(min(self.seconds * 2 ** (attempt - 1), 120)) * random.uniform(0.75, 1.25)  # noqa: S311  no secret


@dataclass(frozen=True)
class Run:
    """One run over the repositories of a journal.

    ``task`` makes the task of a source, ``done`` is told every plan with what was done, in the order of completion,
    ``tick`` is called at least twice a second.
    """

    journal: Journal
    writer: Writer
    workers: Workers
    task: Callable[[Source], Task]
    done: Callable[[Plan, Applied], None]
    tick: Callable[[], None] = lambda: None
    retries: Retries = field(default_factory=Retries)

    def all(self) -> None:
        """Do everything that is not done; raises ``Stopped``, ``JournalError`` and ``KeyboardInterrupt``."""
        self.finish_half_done()
        sources = self.journal.waiting()
        running: dict[Future[Plan], Task] = {}
        later: list[tuple[float, int, Task]] = []
        try:
            while True:
                self.fill(running, later, sources)
                if not running and not later:
                    return
                finished = wait(running, TICK_SECONDS, FIRST_COMPLETED).done if running else ()
                if not running:
                    time.sleep(min(TICK_SECONDS, max(0.0, later[0][0] - time.monotonic())))
                for future in finished:
                    self.take(future, running.pop(future), later)
                self.tick()
        finally:
            for future in running:
                future.cancel()

    def fill(
        self,
        running: dict[Future[Plan], Task],
        later: list[tuple[float, int, Task]],
        sources: Iterator[tuple[Source, int]],
    ) -> None:
        """Hand out tasks, first those whose time to try again has come, until the workers have enough."""
        most = AHEAD * self.workers.width()
        while len(running) < most:
            if later and later[0][0] <= time.monotonic():
                task = heapq.heappop(later)[2]
            else:
                found = None if self.writer.full else next(sources, None)
                if found is None:
                    return
                task = replace(self.task(found[0]), attempt=found[1] + 1)
            running[self.workers.executor.submit(plan_kept, task)] = task

    def take(self, future: Future[Plan], task: Task, later: list[tuple[float, int, Task]]) -> None:
        """Act on one plan, or put its task off where the network failed it."""
        plan = result(future, task)
        if plan.machine:
            raise Stopped(f"{plan.source.key}: {plan.reason}; make room")
        if plan.transient and task.attempt < self.retries.most:
            self.journal.attempted(task.source)
            again = replace(task, attempt=task.attempt + 1)
            heapq.heappush(later, (time.monotonic() + self.retries.delay(task.attempt), id(again), again))
            return
        self.act(plan)

    def act(self, plan: Plan) -> None:
        """Write down what will be done, do it, and write down that it was done."""
        in_place = self.writer.mode == "in-place"
        self.journal.begin(plan, keep_files=in_place and bool(plan.files))
        applied, failure = Applied(), ""
        try:
            applied = self.writer.apply(plan)
        except (WriteError, OSError) as error:
            failure = reason_of(error, plan.source)
        self.journal.finish(plan.source, applied, failure)
        self.done(replace(plan, kind=Kind.FAILED, reason=failure) if failure else plan, applied)

    def finish_half_done(self) -> None:
        """Finish the files in place that a killed run was writing."""
        from pathlib import Path  # noqa: PLC0415

        for source, files in self.journal.half_done():
            failure = ""
            try:
                write_in_place(Path(source.location), files)
            except (WriteError, OSError) as error:
                failure = reason_of(error, source)
            self.journal.finish(source, Applied(), failure)
            kind = Kind.FAILED if failure else Kind.CHANGED
            self.done(Plan(source, kind, failure or "finished what an earlier run had begun", files=files), Applied())


def reason_of(error: WriteError | OSError, source: Source) -> str:
    """Return why a repository was not written; raises ``Stopped`` where that is the machine's fault, not its own."""
    if isinstance(error, WriteError):
        return str(error)
    if error.errno in OF_THE_MACHINE:
        raise Stopped(f"{source.key}: {error.strerror}; make room") from error
    return f"cannot be written: {error.strerror}"


def result(future: Future[Plan], task: Task) -> Plan:
    """Return what a task came to; a cluster that gave it up is a failure of that repository alone."""
    try:
        return replace(future.result(), source=task.source, attempt=task.attempt)
    except CancelledError:
        return failed(task.source, "the cluster gave it up")
    except Exception as error:  # noqa: BLE001  KilledWorker and its like come from a package that may not be there
        return failed(task.source, f"the cluster gave it up: {type(error).__name__}")
