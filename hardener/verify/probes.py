"""Questions for a running container: HTTP requests, TCP connections, commands; written by people or found out."""

from __future__ import annotations

import re
import socket
import time
import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import urlsplit

from hardener.verify.observation import Answer

WRITTEN = re.compile(r"(?:(?P<method>[A-Z]+)\s+)?(?P<url>https?://\S+)(?:\s+(?P<body>.+))?", re.DOTALL)
LARGEST = 1024 * 1024
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the container is on this machine
OWN_HOSTS = ("", "localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104
NOT_READY = (502, 503, 504)
PATIENCE = 10.0  # seconds for a program that listens already to answer


class ProbeError(ValueError):
    """A probe that cannot be read; the message says how one looks."""


class Probe(NamedTuple):
    """One question.

    ``kind`` is http, tcp or cmd; ``service`` a Compose service, ``""`` for the only one; ``port`` the port as it was
    before the hardening: the container's, with Compose the published one where no service is named.
    """

    kind: str
    text: str
    service: str = ""
    port: int = 0
    path: str = "/"
    method: str = "GET"
    body: str | None = None


def parse(text: str) -> Probe:
    """Return the probe that a text asks for; raises ``ProbeError``.

    ``http://localhost:8000/path``, ``POST http://web:8000/add name=x``, ``tcp:5432``, ``tcp://db:5432``,
    ``cmd:redis-cli ping``, ``cmd:SERVICE:redis-cli ping``.
    """
    text = text.strip()
    kind, _, rest = text.partition(":")
    if kind == "cmd" and rest.strip():
        service = re.match(r"([\w.-]+):(?=\s*\S)", rest)
        name = service[1] if service else ""
        return Probe("cmd", text, name, body=rest[len(name) + 1 :].strip() if name else rest.strip())
    match = WRITTEN.fullmatch(text)
    try:
        if match is not None:
            url = urlsplit(match["url"])
            path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
            host = "" if url.hostname in (None, *OWN_HOSTS) else str(url.hostname)
            method = match["method"] or ("POST" if match["body"] else "GET")
            return Probe("http", text, host, url.port or 80, path, method, match["body"])
        if kind == "tcp":
            host, _, port = rest.removeprefix("//").rpartition(":")
            if port.isdecimal():
                return Probe("tcp", text, "" if host in OWN_HOSTS else host, int(port))
    except ValueError:
        pass
    raise ProbeError(
        f"{text!r} is no probe; write http://localhost:8000/path, 'POST http://localhost:8000/add name=x', "
        "tcp:5432 or 'cmd:redis-cli ping'"
    )


def is_open(address: tuple[str, int], patience: float = 0.4) -> bool:
    """Whether somebody listens behind a published port.

    The engine's proxy takes every connection, and drops it at once where nobody listens in the container.
    """
    try:
        with socket.create_connection(address, timeout=2) as connection:
            connection.settimeout(patience)
            return bool(connection.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False


def ask_http(probe: Probe, address: tuple[str, int], seconds: float = 15.0) -> Answer:
    """Return the answer to a request, sent with the host name that the probe was written with."""
    host, port = address
    url = f"http://{host}:{port}{probe.path}"
    data = probe.body.encode() if probe.body is not None else None
    headers = {"Host": f"{probe.service or 'localhost'}:{probe.port}"} if probe.port != 80 else {"Host": "localhost"}
    request = urllib.request.Request(url, data, headers, method=probe.method)
    try:
        with NO_PROXY.open(request, timeout=seconds) as response:
            return Answer(probe.text, response.status, response.read(LARGEST).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(probe.text, error.code, error.read(LARGEST).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:  # http.client's own errors are of both kinds
        return Answer(probe.text, error=str(getattr(error, "reason", error)) or type(error).__name__)
    except Exception as error:  # noqa: BLE001
        return Answer(probe.text, error=f"{type(error).__name__}: {error}"[:200])


def ask_until(probe: Probe, address: tuple[str, int], deadline: float) -> Answer:
    """Return the answer to a request; one that says "not yet" is waited for as long as the deadline allows."""
    answer = ask_http(probe, address)
    deadline = min(deadline, time.monotonic() + PATIENCE)
    while (answer.error or answer.status in NOT_READY) and probe.method == "GET" and time.monotonic() < deadline:
        time.sleep(0.5)
        answer = ask_http(probe, address)
    return answer
