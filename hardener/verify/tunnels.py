"""Ways to the ports of containers whose engine is on another machine: through the engine's own ``exec``.

What such an engine publishes is published there, where a firewall stands or only that machine may ask.  So a port of
this machine stands for a port of a container, and every connection is handed to a program in the container, or, where
it has none that can, in a helper that shares its network.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, NamedTuple

from hardener.migration import HELPER_IMAGE
from hardener.verify.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.verify.engine import Engine

NOT_THERE = (125, 126, 127)  # exit codes of `docker exec` for a program that is not there or does not start
PIECE = 65536
NODE = (
    "const s=require('net').connect(PORT,'127.0.0.1');process.stdin.pipe(s);s.pipe(process.stdout);"
    "s.on('error',()=>process.exit(1));s.on('close',()=>process.exit(0))"
)
PYTHON = """
import os, socket, threading
s = socket.create_connection(("127.0.0.1", PORT))
def send():
    while piece := os.read(0, 65536):
        s.sendall(piece)
threading.Thread(target=send, daemon=True).start()
while piece := s.recv(65536):
    os.write(1, piece)
os._exit(0)
"""


class Tool(NamedTuple):
    """A program that joins its input and output with ``PORT`` of the loopback, and a call that shows it is there."""

    words: tuple[str, ...]
    test: tuple[str, ...]

    def at(self, port: int) -> list[str]:
        """Return the command for a port."""
        return [one.replace("PORT", str(port)) for one in self.words]


TOOLS = (
    Tool(("nc", "127.0.0.1", "PORT"), ("nc", "-h")),
    Tool(("python3", "-c", PYTHON), ("python3", "-c", "pass")),
    Tool(("node", "-e", NODE), ("node", "-e", "0")),
    Tool(("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/PORT && { cat <&3 & cat >&3; wait; }"), ("bash", "-c", "cat <&-")),
    Tool(("curl", "--silent", "--no-buffer", "telnet://127.0.0.1:PORT"), ("curl", "--version")),
)


class Tunnels:
    """The tunnels of one run: made where they are first asked for, and there until the program ends."""

    def __init__(self, engine: Engine, labels: Sequence[str]) -> None:
        self.engine = engine
        self.labels = labels
        self.open: dict[tuple[str, int], socket.socket] = {}
        self.ways: dict[str, tuple[list[str], Tool]] = {}

    def address(self, container: str, port: int) -> tuple[str, int]:
        """Return an address of this machine that stands for a port of a container."""
        if (container, port) not in self.open:
            server = socket.create_server(("127.0.0.1", 0))
            self.open[container, port] = server
            begin, tool = self.way_into(container)
            words = [*begin, *tool.at(port)]
            threading.Thread(target=serve, args=(server, words), daemon=True).start()
        found: tuple[str, int] = self.open[container, port].getsockname()
        return found

    def way_into(self, container: str) -> tuple[list[str], Tool]:
        """Return the beginning of the command that runs in a container's network, and the tool there."""
        if container not in self.ways:
            inside = [self.engine.kind, "exec", "--interactive", container]
            tool = self.tool_of(container)
            if tool is None:
                run = ["run", "--rm", "--interactive", *self.labels, "--network", f"container:{container}"]
                self.ways[container] = ([self.engine.kind, *run, self.helper()], TOOLS[0])
            else:
                self.ways[container] = (inside, tool)
        return self.ways[container]

    def tool_of(self, container: str) -> Tool | None:
        """Return the first tool that a container has."""
        for tool in TOOLS:
            with contextlib.suppress(EngineFailed):
                if self.engine.ask("exec", container, *tool.test).code not in NOT_THERE:
                    return tool
        return None

    def helper(self) -> str:
        """Return an image with ``nc``: one that the engine has, else one that it fetches."""
        listing = ("images", "--format", "{{.Repository}}:{{.Tag}}")
        found = [self.engine.ask(*listing, "--filter", f"reference={one}").out for one in (HELPER_IMAGE, "busybox")]
        return next((one for one in "\n".join(found).split() if not one.endswith("<none>")), HELPER_IMAGE)


def serve(server: socket.socket, words: Sequence[str]) -> None:
    """Hand every connection to a command of its own, until the server is closed."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=join, args=(connection, words), daemon=True).start()


def join(connection: socket.socket, words: Sequence[str]) -> None:
    """Join a connection with a command's input and output until either ends."""
    with (
        connection,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        threading.Thread(target=send, args=(connection, process), daemon=True).start()
        with contextlib.suppress(OSError):
            while piece := process.stdout.read1(PIECE):  # type: ignore[attr-defined]
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_RDWR)
        process.kill()


def send(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Give a command what comes from a connection; when that ends, so does the command."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        while piece := connection.recv(PIECE):
            process.stdin.write(piece)
            process.stdin.flush()
    process.kill()
