"""Serves a `World` over HTTP on loopback: git's own `http-backend`, and the APIs of GitHub, GitLab and Gitea."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from forge import gitea, github, gitlab
from forge.world import ALONE, TOKEN, World

BACKEND = ["git", "http-backend"]


class Handler(BaseHTTPRequestHandler):
    """One request: to git, or to one of the APIs by the beginning of its path."""

    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def respond(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        data = self.body()
        self.pass_gate("before")
        if ".git/" in path:
            self.git(path, parts.query, data)
            return
        with self.world.lock:
            self.world.calls.append((self.command, path))
            fault = self.planned(path)
            if fault is not None and not fault.get("after"):
                self.fail(fault)
                return
            status, answer = self.api(path, query, json.loads(data) if data else {})
            if fault is not None:
                self.fail(fault)
                return
        self.pass_gate("after")
        self.answer(status, answer, self.next_page(path, query, answer))

    def next_page(self, path: str, query: dict[str, str], answer: Any) -> dict[str, str]:
        """Return the header that leads from a full page to the next one, as GitHub and GitLab have it."""
        listed = answer.get("repositories", ()) if isinstance(answer, dict) else answer
        size = int(query.get("per_page", 0))
        if self.command != "GET" or not size or not isinstance(listed, list) or len(listed) < size:
            return {}
        rest = urlencode({**query, "page": int(query.get("page", 1)) + 1})
        return {"Link": f'<{self.world.url}{quote(path)}?{rest}>; rel="next"'}

    def pass_gate(self, when: str) -> None:
        if self.world.gate is not None:
            self.world.gate(f"{self.command} {self.path}", when)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = respond

    def api(self, path: str, query: dict[str, str], data: dict[str, Any]) -> tuple[int, Any]:
        given = self.headers.get("Authorization", "") + self.headers.get("PRIVATE-TOKEN", "")
        app = "/app/" in path or path.endswith("/app") or path.endswith("/installation")
        if not (given.endswith(TOKEN) or (app and given.startswith("Bearer ey"))):
            return 401, {"message": "Bad credentials"}
        for prefix, module in (("/api/v4", gitlab), ("/api/v1", gitea), ("/api/v3", github), ("", github)):
            if path.startswith(f"{prefix}/"):
                self.world.prefix = prefix
                return route(module.ROUTES, self.world, self.command, path[len(prefix) :], query, data)
        raise AssertionError(path)

    def planned(self, path: str) -> dict[str, Any] | None:
        for fault in self.world.faults:
            if fault["times"] and fault["method"] == self.command and re.search(fault["path"], path):
                fault["times"] -= 1
                return fault
        return None

    def fail(self, fault: dict[str, Any]) -> None:
        if fault["status"] == 0:
            time.sleep(fault.get("sleep", 0))
            self.close_connection = True
            return
        body = {"message": fault.get("message", "fault"), "documentation_url": "https://docs.github.com"}
        self.answer(fault["status"], body, fault.get("headers", {}))

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def git(self, path: str, query: str, data: bytes) -> None:
        with self.world.lock:
            self.world.calls.append((self.command, f"{path}?{query}"))
            fault = self.planned(f"{path}?{query}")
        if fault is not None and not fault.get("after"):
            self.fail(fault)
            return
        name = path.split(".git/")[0].lstrip("/")
        repo = self.world.repos.get(name)
        writes = "git-receive-pack" in path or "git-receive-pack" in query
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        known = scheme == "Basic" and base64.b64decode(given).decode().endswith(f":{TOKEN}")
        if repo is not None and repo.private and not known:
            self.answer(401, {"message": "who are you"}, {"WWW-Authenticate": 'Basic realm="forge"'})
            return
        if repo is None or (writes and known and not repo.can_push):
            self.answer(404 if repo is None else 403, {"message": "no"})
            return
        if writes and not known:
            self.answer(401, {"message": "who are you"}, {"WWW-Authenticate": 'Basic realm="forge"'})
            return
        environment = {
            **ALONE,
            "GIT_PROJECT_ROOT": str(self.world.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **({"REMOTE_USER": "bot"} if known else {}),
        }
        done = subprocess.run(BACKEND, input=data, env=environment, capture_output=True, check=False)
        if fault is not None:
            self.fail(fault)
            return
        self.pass_gate("after")
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status = 200
        headers = []
        for line in head.decode().split("\r\n"):
            field, _, value = line.partition(": ")
            if field.lower() == "status":
                status = int(value.split()[0])
            elif field:
                headers.append((field, value))
        self.send_response(status)
        for field, value in headers:
            self.send_header(field, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def route(
    routes: list[tuple[str, str, Callable[..., tuple[int, Any]]]],
    world: World,
    method: str,
    path: str,
    query: dict[str, str],
    data: dict[str, Any],
) -> tuple[int, Any]:
    """Call the function of the first route that fits."""
    for verb, pattern, function in routes:
        found = re.fullmatch(pattern, path)
        if verb == method and found is not None:
            return function(world, query, data, *found.groups())
    return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}


@contextmanager
def served(world: World) -> Iterator[World]:
    """Serve a world for a while; ``world.url`` is where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"world": world}))
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
