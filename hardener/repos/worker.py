"""A process that plans for one repository after the other, and its keeper, which ends it when it takes too much.

The same on every executor: a thread of the local pool, or a worker of a cluster, keeps one such process and waits for
it.  So a crash, an endless loop or a too large repository costs that one repository, and what it left is swept; and
the executor's own processes stay small.
"""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from hardener.repos.scraps import sweep
from hardener.repos.values import failed

if TYPE_CHECKING:
    from hardener.repos.values import Plan, Task

HEADER = struct.Struct(">Q")
# A process that has grown beyond this is ended after its task, and a new one takes its place.
GROWN_MEGABYTES = 400
# What a task may take beyond its limit, before the keeper ends its process: git has the limit too, and says more.
GRACE_SECONDS = 5
COLLECT_AFTER = 200_000
TASKS_TO_COLLECT = 50
COMMAND = [sys.executable, "-c", "from hardener.repos.worker import main; main()"]


class Worker:
    """The keeper of one process.  One thread plans with it; another one may only end it."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.process: subprocess.Popen[bytes] | None = None
        self.planning = threading.Lock()
        self.ended = False

    def plan(self, task: Task) -> Plan:
        """Return the plan that the process makes; its death or its delay is the plan of a failure.  Never raises."""
        with self.planning:
            return self.planned(task)

    def end(self) -> None:
        """End the process for good, from another thread.

        It is killed first, so that the thread that waits for it reads the end of its answers and lets go; a pipe that
        is closed under a waiting thread would wake nobody.
        """
        self.ended = True
        self.kill()
        with self.planning:
            self.stop()

    def planned(self, task: Task) -> Plan:
        """Return what `plan` returns, in the one thread that plans."""
        try:
            process = self.started()
            if self.ended:
                self.kill()
            send(process.stdin, task)
            made: Plan | None = received(process.stdout, task.limits.seconds + GRACE_SECONDS)
        except TimeoutError:
            self.stop()
            return failed(task.source, f"it took more than {task.limits.seconds:.0f} s")
        except (EOFError, BrokenPipeError, ConnectionError):
            return failed(task.source, self.epitaph())
        except OSError as error:
            self.stop()
            return failed(task.source, f"no process could be started: {error.strerror}", machine=True)
        if made is None:
            return failed(task.source, "the process gave no answer")
        if made.peak_megabytes > GROWN_MEGABYTES:
            self.stop()
        return made

    def started(self) -> subprocess.Popen[bytes]:
        """Return the process, a new one where there is none."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(  # noqa: S603
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # no terminal to ask, and one group to end
            )
        return self.process

    def epitaph(self) -> str:
        """Return why the process died, and bury it."""
        process = self.process
        if process is None:
            return "the run was stopped"
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        code = process.returncode
        self.stop()
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
        memory = ": probably it needed more memory than there is" if code == -signal.SIGKILL else ""
        return f"the process that read it was {how}{memory}"

    def kill(self) -> None:
        """Kill the process with all that it started, where there is one; what it left stays."""
        process = self.process
        if process is not None:  # a dead one may have left children: its group lives on with them
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process with all that it started, and remove what it left."""
        self.kill()
        process, self.process = self.process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        process.wait()
        sweep(process=process.pid)


kept = threading.local()
every: list[Worker] = []


def end_all() -> None:
    """End the processes that the threads of this process keep."""
    for worker in every:
        worker.end()


atexit.register(end_all)


def plan_all(tasks: tuple[Task, ...]) -> tuple[Plan, ...]:
    """Return the plans of some repositories, made by the process that this thread keeps: what every executor runs."""
    worker: Worker | None = getattr(kept, "worker", None)
    if worker is None:
        worker = kept.worker = Worker()
        every.append(worker)
    return tuple(map(worker.plan, tasks))


def send(stream: IO[bytes] | None, value: Any) -> None:
    """Write one value to a pipe."""
    assert stream is not None
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(data)) + data)
    stream.flush()


def received(stream: IO[bytes] | None, seconds: float | None) -> Any:
    """Read one value from a pipe; raises ``TimeoutError``, and ``EOFError`` where the other end is gone."""
    assert stream is not None
    until = None if seconds is None else monotonic() + seconds
    size = HEADER.unpack(exactly(stream, HEADER.size, until))[0]
    return pickle.loads(exactly(stream, size, until))  # noqa: S301  the other end is this module


def exactly(stream: IO[bytes], size: int, until: float | None) -> bytes:
    """Read so many bytes from a pipe."""
    parts: list[bytes] = []
    with DefaultSelector() as selector:
        selector.register(stream, EVENT_READ)
        while size:
            left = None if until is None else until - monotonic()
            if (left is not None and left <= 0) or not selector.select(left):
                raise TimeoutError
            part = os.read(stream.fileno(), min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


def main() -> None:
    """Read tasks from standard input and write plans to standard output, until the keeper is gone."""
    from hardener.repos.caches import forget  # noqa: PLC0415  the keeper needs none of it
    from hardener.repos.plan import plan  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver gets it, and closes the pipe
    os.umask(0o022)  # what is laid out has the modes that Git gives
    gc.set_threshold(COLLECT_AFTER, 50, 50)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, does not print into the answers
    tasks = os.fdopen(os.dup(0), "rb", buffering=0)
    done = 0
    while True:
        try:
            task: Task = received(tasks, None)
        except EOFError:
            return
        bound = task.limits.megabytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (bound, resource.RLIM_INFINITY))
        # Where the keeper is gone, nobody else ends a process that is stuck.
        signal.alarm(int(task.limits.seconds + 2 * GRACE_SECONDS))
        made = plan(task)
        signal.alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        try:
            send(answers, made.with_peak(peak))
        except BrokenPipeError:
            os._exit(0)
        forget()
        done += 1
        if done % TASKS_TO_COLLECT == 1:
            gc.collect()
            gc.freeze()  # what is there now stays: modules and tables
