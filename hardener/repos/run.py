"""The driver: hands repositories to workers, takes their plans back, and lets the one writer act on them in turn."""

from __future__ import annotations

import heapq
import random
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from hardener.repos.journal import Applied
from hardener.repos.plan import OF_THE_MACHINE
from hardener.repos.stops import Stopped, WriteError
from hardener.repos.values import Kind, Plan, failed
from hardener.repos.worker import plan_all
from hardener.repos.writer import write_in_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from hardener.repos.executors import Workers
    from hardener.repos.journal import Journal
    from hardener.repos.sources import Source
    from hardener.repos.values import Task
    from hardener.repos.writer import Writer

    Running = dict[Future[tuple[Plan, ...]], tuple[Task, ...]]
    Later = list[tuple[float, int, Task]]

# Calls handed out for each worker: enough that none waits for the way to a cluster and back, few enough that little is
# held in memory.
AHEAD = 4
# What one call to a far worker should take, so that the way there is little beside it; and its tasks at most.
CALL_SECONDS = 0.5
MOST_TASKS = 16
TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Retries:
    """How often the network is asked again, and after how many seconds (doubled each time, and spread)."""

    most: int = 4
    seconds: float = 2.0

    def delay(self, attempt: int) -> float:
        """Return how long to wait after so many attempts."""
        return float(min(self.seconds * 2 ** (attempt - 1), 120)) * random.uniform(0.75, 1.25)  # noqa: S311  no secret


@dataclass
class Pace:
    """How long a repository takes, in seconds: a mean in which the last ones weigh most."""

    seconds: float = CALL_SECONDS

    def tell(self, plan: Plan) -> None:
        """Take one more plan into account; one whose process was ended says nothing of its time."""
        taken = plan.fetch_seconds + plan.harden_seconds
        if taken:
            self.seconds += 0.1 * (taken - self.seconds)

    def tasks(self) -> int:
        """Return how many tasks make a call of the wanted length."""
        return max(1, min(MOST_TASKS, int(CALL_SECONDS / max(self.seconds, 0.001))))


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
    pace: Pace = field(default_factory=Pace)

    def all(self) -> None:
        """Do everything that is not done; raises ``Stopped``, ``JournalError`` and ``KeyboardInterrupt``."""
        self.finish_half_done()
        sources = self.journal.waiting()
        running: Running = {}
        later: Later = []
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
        running: Running,
        later: Later,
        sources: Iterator[tuple[Source, int]],
    ) -> None:
        """Hand out tasks, first those whose time to try again has come, until the workers have enough."""
        most = AHEAD * self.workers.width()
        while len(running) < most:
            if later and later[0][0] <= time.monotonic():
                tasks: tuple[Task, ...] = (heapq.heappop(later)[2],)
            else:
                count = self.pace.tasks() if self.workers.is_far else 1
                found = islice(sources, 0 if self.writer.full else count)
                tasks = tuple(replace(self.task(source), attempt=tried + 1) for source, tried in found)
                if not tasks:
                    return
            running[self.workers.executor.submit(plan_all, tasks)] = tasks

    def take(self, future: Future[tuple[Plan, ...]], tasks: tuple[Task, ...], later: Later) -> None:
        """Act on the plans of a call; one that the cluster gave up is tried again, each task for itself."""
        try:
            plans = future.result()
        except (CancelledError, Exception) as error:  # noqa: BLE001  KilledWorker is of a package that may not be there
            if len(tasks) > 1:
                for task in tasks:
                    heapq.heappush(later, (time.monotonic(), id(task), task))
                return
            plans = (failed(tasks[0].source, given_up(error)),)
        for task, plan in zip(tasks, plans, strict=True):
            self.take_one(replace(plan, source=task.source, attempt=task.attempt), task, later)
            self.tick()

    def take_one(self, plan: Plan, task: Task, later: Later) -> None:
        """Act on one plan, or put its task off where the network failed it."""
        self.pace.tell(plan)
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


def given_up(error: BaseException) -> str:
    """Return why a call has no plans."""
    return "the cluster gave it up" + ("" if isinstance(error, CancelledError) else f": {type(error).__name__}")
