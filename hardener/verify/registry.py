"""Which verifications run on this machine, and what dead ones left: containers, networks, volumes, images, folders.

Every object carries two labels: ``hardener.verify`` is the run that made it, ``hardener.verify.home`` the state folder
in which that run is written down.  A run holds a lock as long as it lives, however it ends, so what belongs to a run
of this folder whose lock is free was left over and goes; what belongs to another folder (another user, another
machine on the same engine) is never looked at.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any

from hardener.verify.engine import EngineFailed, EngineGone, state_folder

try:
    import fcntl
except ImportError:  # Windows: a run counts as alive while its process is there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.verify.engine import Engine

LABEL = "hardener.verify"
HOME_LABEL = "hardener.verify.home"
# Listing and removal of each kind, in the order in which they can go: nothing goes that another still uses.
KINDS = {
    "container": (("ps", "--all", "--quiet", "--no-trunc"), ()),  # see `Engine.removal`
    "network": (("network", "ls", "--quiet", "--no-trunc"), ("network", "rm")),
    "volume": (("volume", "ls", "--quiet"), ("volume", "rm", "--force")),
    "image": (("images", "--all", "--quiet", "--no-trunc"), ("rmi", "--force")),
}
INSPECT = {"container": ("inspect",), "network": ("network", "inspect"), "volume": ("volume", "inspect"),
           "image": ("image", "inspect")}  # fmt: skip


class Interrupted(BaseException):
    """A signal asked the program to end: everything that was made is removed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@dataclass(frozen=True)
class Run:
    """One verification: its id, its folder for copies and reports, and the labels of all that it makes."""

    id: str
    home: str
    folder: Path

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every container, network, volume and image."""
        return {LABEL: self.id, HOME_LABEL: self.home}

    @property
    def label_options(self) -> list[str]:
        """The same as options of a command line."""
        return [word for key, value in self.labels.items() for word in ("--label", f"{key}={value}")]


@contextlib.contextmanager
def opened(engine: Engine, say: Callable[[str], None]) -> Iterator[Run]:
    """Give a new run, after what dead ones left was removed; when it ends, everything that it made is removed.

    SIGINT, SIGTERM and SIGHUP end it in order.  Raises ``Interrupted`` then.
    """
    before = install_handlers()
    run: Run | None = None
    life = None
    gone = False
    try:
        folder = state_folder()
        runs = folder / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        home = home_of(folder)
        with locked(folder / "lock"):
            remove_leftovers(engine, runs, home, say)
            name = secrets.token_hex(5)
            run = Run(name, home, runs / name)
            run.folder.mkdir()
            life = held(run.folder / "alive")
            about = {"pid": os.getpid(), "started": time.strftime("%Y-%m-%d %H:%M:%S"), "engine": engine.kind}
            (run.folder / "run.json").write_text(json.dumps(about))
        yield run
    except EngineGone:
        gone = True
        raise
    finally:
        ignore_signals(before)
        if run is not None:
            remove_run(engine, run, say, gone=gone)
        if life is not None:
            os.close(life)
        restore_handlers(before)


def remove_run(engine: Engine, run: Run, say: Callable[[str], None], *, gone: bool) -> None:
    """Remove everything that a run made; what cannot be removed is told, unless the engine is ``gone`` anyway."""
    try:
        remove(engine, f"label={LABEL}={run.id}", frozenset())
    except EngineFailed as error:
        if not gone:
            say(f"what this run made could not all be removed ({error}); the next run removes the rest")
        shutil.rmtree(run.folder / "trees", ignore_errors=True)
    else:
        shutil.rmtree(run.folder, ignore_errors=True)


def remove_leftovers(engine: Engine, runs: Path, home: str, say: Callable[[str], None]) -> None:
    """Remove what runs of this state folder left that are not alive any more."""
    alive = frozenset(one.name for one in runs.iterdir() if is_alive(one))
    count = 0
    with contextlib.suppress(EngineFailed):
        count = remove(engine, f"label={HOME_LABEL}={home}", alive)
    for one in runs.iterdir():
        if one.name not in alive:
            count += 1
            shutil.rmtree(one, ignore_errors=True)
    if count:
        say(f"removed {count} leftovers of a run that was killed")


def remove(engine: Engine, label: str, keep: frozenset[str]) -> int:
    """Remove every object with a label, but those of the runs in ``keep``; return how many there were."""
    count = 0
    for kind, (listing, words) in KINDS.items():
        removal = words or engine.removal
        found = list(dict.fromkeys(engine.do(*listing, "--filter", label).split()))
        if keep and found:
            found = [one for one in found if run_of(engine, kind, one) not in keep]
        for one in found:  # one at a time: one that is gone already must not keep the others
            said = engine.ask(*removal, one)
            if said.code and kind == "network":  # a container that is just being removed is still in it
                time.sleep(0.5)
                said = engine.ask(*removal, one)
            if said.code and "o such" not in said.err:
                raise EngineFailed(f"{kind} {one[:20]}: {said.err.strip()[-200:]}")
        count += len(found)
    return count


def run_of(engine: Engine, kind: str, one: str) -> str:
    """Return the run that made an object, ``""`` where it is gone."""
    said = engine.ask(*INSPECT[kind], one)
    with contextlib.suppress(ValueError, LookupError, TypeError):
        about: Any = json.loads(said.out)[0]
        labels = about.get("Labels") or about.get("Config", {}).get("Labels") or {}
        return str(labels.get(LABEL, ""))
    return ""


def home_of(folder: Path) -> str:
    """Return the state folder's own mark, made once."""
    file = folder / "home"
    with contextlib.suppress(FileExistsError), file.open("x") as new:
        new.write(secrets.token_hex(6))
    return file.read_text().strip() or "empty"


def held(file: Path) -> int | None:
    """Return an open file whose lock is held until this process ends."""
    if fcntl is None:
        return None
    handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def is_alive(folder: Path) -> bool:
    """Whether the run of a folder lives: its lock is held, or, without locks, its process is there."""
    if fcntl is None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads((folder / "run.json").read_text())["pid"]), 0)
            return True
        return False
    try:
        handle = os.open(folder / "alive", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that runs take while they look for dead ones and write themselves down."""
    if fcntl is None:
        yield
        return
    handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def install_handlers() -> dict[int, Any]:
    """Have the signals that end programs raise ``Interrupted``; return the handlers before."""

    def stop(number: int, _frame: object) -> None:
        raise Interrupted(number)

    return {number: signal.signal(number, stop) for number in SIGNALS}


def ignore_signals(before: dict[int, Any]) -> None:
    """Let nothing but SIGKILL interrupt the cleaning."""
    for number in before:
        signal.signal(number, signal.SIG_IGN)


def restore_handlers(before: dict[int, Any]) -> None:
    """Put the handlers of before back."""
    for number, handler in before.items():
        signal.signal(number, handler)
