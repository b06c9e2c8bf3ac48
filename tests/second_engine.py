"""A Docker Engine of a test's own, as on another machine: without this one's network, reached through TCP only.

It may be killed.  Needs root and the private engine's programs (tests/engine/start.sh).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PREPARE = 'ip link set lo up; mount -t tmpfs none "$1"; shift; exec "$@"'


class SecondEngine:
    """The engine in ``folder``; ``host`` is its DOCKER_HOST; what lies in ``hidden`` it cannot see."""

    def __init__(self, folder: Path, hidden: Path) -> None:
        self.folder = folder
        self.hidden = hidden
        self.server = socket.create_server(("127.0.0.1", 0))
        self.host = f"tcp://127.0.0.1:{self.server.getsockname()[1]}"
        self.daemon: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self.forward, daemon=True).start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "docker.sock").unlink(missing_ok=True)
        (self.folder / "dockerd.pid").unlink(missing_ok=True)
        command = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                   f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec",
                   f"--pidfile={self.folder}/dockerd.pid", f"--host=unix://{self.folder}/docker.sock"]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "--mount", "--net", "sh", "-c", PREPARE, "sh", str(self.hidden), *command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        for _ in range(120):
            if self.docker("version", check=False).returncode == 0:
                return
            time.sleep(0.5)
        raise TimeoutError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill it, as a crash does."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def stop(self) -> None:
        """Stop it in order, and its containers."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(60)
        self.server.close()

    def docker(self, *words: str, check: bool = True, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", "--host", f"unix://{self.folder}/docker.sock", *words],
            capture_output=True, check=check, input=given,
        )  # fmt: skip

    def forward(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self.join, args=(connection,), daemon=True).start()

    def join(self, connection: socket.socket) -> None:
        """Hand a connection to the engine's socket, and its answers back."""
        engine = socket.socket(socket.AF_UNIX)
        with connection, engine, contextlib.suppress(OSError):
            engine.connect(f"{self.folder}/docker.sock")
            there = threading.Thread(target=pump, args=(connection, engine), daemon=True)
            there.start()
            pump(engine, connection)
            there.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on everything, and then the end."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def second_engine(folder: Path, hidden: Path, *images: str) -> Iterator[SecondEngine]:
    """An engine that has some images of the first one."""
    engine = SecondEngine(folder, hidden)
    try:
        engine.start()
        engine.docker("load", given=subprocess.run(["docker", "save", *images], capture_output=True, check=True).stdout)
        yield engine
    finally:
        engine.stop()


def is_possible() -> bool:
    """Whether there is what a second engine needs."""
    return "HARDENER_ENGINE" in os.environ and os.geteuid() == 0
