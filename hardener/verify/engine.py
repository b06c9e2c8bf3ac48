"""The command line of a container engine: which one answers, and how it is called.

Everything goes through the command (docker, podman, buildah), so contexts, ``DOCKER_HOST`` and logins are its own.
"""

from __future__ import annotations

import ctypes
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINES = ("docker", "podman", "buildah")
ANSWER_SECONDS = 20.0
SHORT_SECONDS = 60.0
# What each engine says when nobody is at its other end (docker/cli, containers/podman: pkg/bindings); programs in
# containers say some of it too, so the engine is asked before it is believed.
GONE = ("Cannot connect to", "error during connect", "connection refused", "daemon running", "unexpected EOF")
# BuildKit's client, when the engine dies under a build: it is no failure of the build, even if the engine is back.
DIED = re.compile(r"^ERROR: (?:failed to receive status|failed to solve): .*code = Unavailable", re.MULTILINE)
KILL_ON_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG, prctl(2)


class EngineMissing(Exception):
    """No engine answers; the message says what was tried."""


class EngineFailed(Exception):
    """A command of the engine failed; the message is the end of what it wrote."""


class EngineGone(EngineFailed):
    """The engine stopped answering in the middle."""


class TimedOut(EngineFailed):
    """A command took longer than its limit."""


class Said(NamedTuple):
    """What a command answered: exit code, and its two outputs as text."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Both outputs."""
        return f"{self.out}{self.err}"


@dataclass(frozen=True)
class Engine:
    """One engine that answers: ``kind`` is docker or podman, ``builder`` the command that builds."""

    kind: str
    version: str
    builder: str
    has_compose: bool
    host: str = ""
    """Where it is: ``DOCKER_HOST``, ``CONTAINER_HOST``, or what Docker's current context names."""

    def ask(self, *words: str, seconds: float = SHORT_SECONDS, env: dict[str, str] | None = None) -> Said:
        """Run a command and return what it said; raises ``TimedOut`` and ``EngineGone``."""
        return call([self.kind, *words], seconds, env)

    def do(self, *words: str, seconds: float = SHORT_SECONDS) -> str:
        """Run a command and return its standard output; raises ``EngineFailed`` where it fails."""
        said = self.ask(*words, seconds=seconds)
        if said.code:
            raise EngineFailed(last_lines(said.err or said.out))
        return said.out

    def raw(self, *words: str, seconds: float = SHORT_SECONDS) -> bytes:
        """Run a command and return the bytes of its standard output; raises ``EngineFailed`` where it fails."""
        done = run([self.kind, *words], seconds)
        if done.returncode:
            raise EngineFailed(last_lines(done.stderr.decode("utf-8", "replace")))
        return done.stdout

    @property
    def removal(self) -> list[str]:
        """The command that ends and removes a container at once: Podman waits ten seconds unless told otherwise."""
        return ["rm", "--force", "--volumes", *(["--time", "0"] if self.kind == "podman" else [])]

    @property
    def is_remote(self) -> bool:
        """Whether the engine runs on another machine, whose ports and processes cannot be reached from here."""
        return self.host.startswith(("ssh://", "tcp://", "http://", "https://"))


def run(
    command: list[str], seconds: float, env: dict[str, str] | None = None, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run one command of an engine with ``given`` as its input; raises ``TimedOut`` and ``EngineFailed``."""
    try:
        return subprocess.run(
            command, capture_output=True, timeout=seconds, check=False, input=given,
            preexec_fn=die_with_parent, env={**os.environ, **(env or {})},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimedOut(f"`{' '.join(command[:3])}` did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise EngineFailed(f"{command[0]} cannot be run: {error.strerror}") from None


def call(command: list[str], seconds: float, env: dict[str, str] | None = None) -> Said:
    """Run one command of an engine; raises ``TimedOut`` and ``EngineGone``."""
    done = run(command, seconds, env)
    said = Said(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
    if said.code and any(one in said.err for one in GONE) and not answers(command[0]):
        raise EngineGone(f"the engine stopped answering: {last_lines(said.err, 1)}")
    return said


def answers(command: str) -> bool:
    """Whether an engine answers now."""
    return run([command, "version"], ANSWER_SECONDS).returncode == 0


def stream(
    command: list[str], seconds: float, show: Callable[[str], None] | None, env: dict[str, str] | None = None
) -> Said:
    """Run a long command, hand each line to ``show`` as it comes, and return all of it; raises ``TimedOut``."""
    deadline = time.monotonic() + seconds
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert process.stdout is not None
    pieces: list[bytes] = []
    pending = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimedOut(f"`{' '.join(command[:3])}` did not end within {seconds:.0f} s")
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                pieces.append(piece)
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines if show is not None else ():
                    assert show is not None
                    show(line.decode("utf-8", "replace"))
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.wait()
    text = b"".join(pieces).decode("utf-8", "replace")
    if code and (DIED.search(text) or not answers(command[0])):
        raise EngineGone(f"the engine stopped answering: {last_lines(text, 1)}")
    return Said(code, text, "")


def die_with_parent() -> None:
    """Have the kernel end a command of the engine when this program is killed, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(KILL_ON_PARENTS_DEATH, signal.SIGKILL)


def find(name: str | None = None) -> Engine:
    """Return the engine of that name, else the first that answers; raises ``EngineMissing``.

    Buildah only builds: what it built, podman runs (both keep images in the same storage).
    """
    tried: list[str] = []
    for kind in (name,) if name else ("docker", "podman"):
        runner = "podman" if kind == "buildah" else kind
        if shutil.which(kind) is None or shutil.which(runner) is None:
            what = kind if shutil.which(kind) is None else f"{runner}, which runs what {kind} builds,"
            tried.append(f"{what} is not on PATH")
            continue
        try:
            said = call([runner, "version", "--format", "{{.Server.Version}}"], ANSWER_SECONDS)
            if said.code and runner == "podman":  # without a service there is only a client
                said = call([runner, "version", "--format", "{{.Client.Version}}"], ANSWER_SECONDS)
        except EngineFailed as error:
            tried.append(f"{runner}: {error}")
            continue
        if said.code:
            tried.append(f"{runner}: {last_lines(said.err, 1)}")
            continue
        return Engine(runner, said.out.strip(), kind, has_compose(runner), host_of(runner))
    raise EngineMissing(f"no container engine answers ({'; '.join(tried)})")


def host_of(command: str) -> str:
    """Return the address of the engine that a command talks to, ``""`` for its own default."""
    given = os.environ.get("DOCKER_HOST" if command == "docker" else "CONTAINER_HOST", "")
    if given or command != "docker":
        return given
    said = call([command, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], ANSWER_SECONDS)
    return said.out.strip() if not said.code else ""


def has_compose(command: str) -> bool:
    """Whether the engine brings Compose v2."""
    try:
        return call([command, "compose", "version"], ANSWER_SECONDS).code == 0
    except EngineFailed:
        return False


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines of an output that say something."""
    return "\n".join([line.rstrip() for line in text.strip().splitlines() if line.strip()][-count:])[-3000:]


def state_folder() -> Path:
    """Return the folder that keeps what running verifications are: below ``XDG_CACHE_HOME``, as a cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base, "hardener", "verify")
