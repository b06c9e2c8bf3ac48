"""Builds, runs and probes containers for the end-to-end tests, and removes everything that was made.

Everything is labelled with one label per test session, so that `Engine.remove_all` leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PATIENCE = 60.0  # seconds for a container to answer; two cores may be building at the same time
BUILD_LIMIT = 900.0

# Docker's own networks let everybody bind port 80; Kubernetes, Podman and host networks do not.
STRICT = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")
LOCKED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")

# What a program says when it was refused something, whatever its language.
REFUSED = re.compile(
    rb"EACCES|EPERM|EROFS|[Pp]ermission denied|Operation not permitted|Read-only file system"
    rb"|PermissionError|AccessDenied|readonly database"
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment
_SYNTAX = re.compile(rb"\A(?:#[^\n]*\n)*?(#\s*syntax\s*=[^\n]*\n)", re.IGNORECASE)


class Broken(AssertionError):
    """The image does not build, or its container does not do what it did before; the message says what was seen."""


class Answer(NamedTuple):
    status: int
    body: str


class Process(NamedTuple):
    uid: int
    gid: int
    command: str


def docker(*arguments: str, timeout: float = 120.0) -> str:
    """What `docker ARGUMENTS` printed. Raises Broken with the end of its output when it fails."""
    run = subprocess.run(
        ["docker", *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False
    )
    if run.returncode:
        output = (run.stdout + run.stderr).decode(errors="replace")
        raise Broken(f"docker {arguments[0]} failed ({run.returncode}):\n{output[-3000:]}")
    return run.stdout.decode(errors="replace")


def engine_answers() -> bool:
    """Whether a Docker Engine can be reached."""
    try:
        docker("version", timeout=30)
    except (Broken, OSError, subprocess.TimeoutExpired):
        return False
    return True


@dataclass(frozen=True)
class Container:
    """A started container; `port` is the container's port that `ask` talks to."""

    id: str
    port: int

    def ask(self, path: str, data: str | None = None, patience: float = PATIENCE) -> Answer:
        """The answer to GET `path` (POST when `data` is given), waited for until the container answers or ends."""
        deadline = time.monotonic() + patience
        problem = ""
        while time.monotonic() < deadline:
            self.require_running()
            try:
                return self._ask(path, data)
            except (OSError, Broken) as error:
                # Not listening yet: Docker's proxy takes the connection and drops it; or just ended: said above.
                problem = str(error)
            time.sleep(0.2)
        raise Broken(f"no answer on port {self.port} ({problem}); its log:\n{self.log_tail()}")

    def host(self) -> str:
        """Address and port of the host where `port` is published; another one after a restart."""
        return docker("port", self.id, f"{self.port}/tcp").split()[0]

    def _ask(self, path: str, data: str | None) -> Answer:
        host = self.host()
        body = None if data is None else data.encode()
        try:
            with _DIRECT.open(f"http://{host}{path}", data=body, timeout=10) as response:
                return Answer(response.status, response.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(errors="replace"))

    def require_running(self) -> None:
        state = json.loads(docker("inspect", "--format", "{{json .}}", self.id))
        if not state["State"]["Running"] or state["RestartCount"]:
            code = state["State"]["ExitCode"]
            raise Broken(f"the container ended with exit code {code}; its log:\n{self.log_tail()}")

    def require_healthy(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            health = json.loads(docker("inspect", "--format", "{{json .State.Health}}", self.id))
            if health["Status"] == "healthy":
                return
            time.sleep(0.5)
        raise Broken(f"its HEALTHCHECK says {health['Status']}: {health['Log'][-1:]}")

    def processes(self) -> list[Process]:
        """Every process of the container, PID 1 first, with the ids that the kernel has for it."""
        rows = docker("top", self.id, "-eo", "pid,uid,gid,args").splitlines()[1:]
        fields = [row.split(None, 3) for row in rows]
        return [Process(int(uid), int(gid), args) for _, uid, gid, args in fields]

    def log(self) -> bytes:
        command = ["docker", "logs", self.id]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout

    def log_tail(self) -> str:
        return self.log()[-2000:].decode(errors="replace")

    def restart(self) -> None:
        docker("restart", "--time", "2", self.id)


@dataclass(frozen=True)
class Engine:
    """One test session on a Docker Engine: its label and its network."""

    session: str
    network: str

    @classmethod
    def open(cls) -> Engine:
        session = secrets.token_hex(4)
        network = f"hardener-test-{session}"
        docker("network", "create", "--label", f"hardener.test={session}", network)
        return cls(session, network)

    @property
    def label(self) -> str:
        return f"hardener.test={self.session}"

    def build(self, context: Path, name: str, target: str | None = None) -> str:
        """Builds the Dockerfile of `context`; returns the image's tag. Raises Broken when it does not build."""
        tag = f"hardener-test/{name}:{self.session}"
        with tempfile.TemporaryDirectory(prefix="hardener-build-") as scratch:
            # A `# syntax=` line is fetched from a registry: it goes, in this copy of the file only.
            recipe = Path(scratch, "Dockerfile")
            recipe.write_bytes(without_syntax_line((context / "Dockerfile").read_bytes()))
            arguments = ["build", "--progress", "plain", "--label", self.label, "--tag", tag]
            arguments += ["--file", str(recipe)]
            if "HARDENER_ENGINE" in os.environ:  # the private engine has no other network that leads outside
                arguments += ["--network", "host"]
            if target:
                arguments += ["--target", target]
            docker(*arguments, str(context), timeout=BUILD_LIMIT)
        return tag

    @contextlib.contextmanager
    def run(
        self,
        image: str,
        port: int,
        options: Sequence[str] = (),
        env: Mapping[str, str] = {},  # noqa: B006 - read only
        volumes: Sequence[str] = (),
        mounted: Mapping[str, str] = {},  # noqa: B006 - read only
    ) -> Iterator[Container]:
        """A running container of `image`, with a fresh named volume on each of `volumes`; removed afterwards.

        `mounted` are volumes that stay: path in the container to name.
        """
        arguments = ["run", "--detach", "--label", self.label, "--network", self.network]
        arguments += ["--publish", f"127.0.0.1::{port}", "--health-interval", "1s", *options]
        for key, value in env.items():
            arguments += ["--env", f"{key}={value}"]
        for target, name in mounted.items():
            arguments += ["--volume", f"{name}:{target}"]
        fresh = []
        for target in volumes:
            fresh.append(docker("volume", "create", "--label", self.label).strip())
            arguments += ["--volume", f"{fresh[-1]}:{target}"]
        container = None
        try:
            container = docker(*arguments, image).strip()
            yield Container(container, port)
        finally:
            if container:
                docker("rm", "--force", "--volumes", container)
            for volume in fresh:
                docker("volume", "rm", "--force", volume)

    @contextlib.contextmanager
    def volumes(self, targets: Sequence[str]) -> Iterator[dict[str, str]]:
        """A named volume for each path, removed afterwards."""
        names = {target: docker("volume", "create", "--label", self.label).strip() for target in targets}
        try:
            yield names
        finally:
            for name in names.values():
                docker("volume", "rm", "--force", name)

    def compose_project(self) -> str:
        """A name for a Compose project that nothing else has."""
        return f"hardener-test-{self.session}-{secrets.token_hex(3)}"

    @contextlib.contextmanager
    def compose(
        self, folder: Path, service: str, port: int, project: str = "", *, keep: bool = False
    ) -> Iterator[Container]:
        """The service of the folder's Compose file, built and started the way Compose does it, on a strict network.

        With `keep`, its volumes stay for the next one of the same `project`.
        """
        project = project or self.compose_project()
        build: dict[str, object] = {"labels": [self.label]}
        if "HARDENER_ENGINE" in os.environ:
            build["network"] = "host"
        extra = {
            "services": {service: {"build": build, "labels": [self.label], "sysctls": [STRICT[1]]}},
            "networks": {"default": {"labels": [self.label]}},
        }
        with tempfile.TemporaryDirectory(prefix="hardener-compose-") as scratch:
            override = Path(scratch, "override.json")  # JSON is YAML
            override.write_text(json.dumps(extra))
            files = ["--file", str(folder / "compose.yml"), "--file", str(override)]
            compose = ["compose", "--project-name", project, "--project-directory", str(folder), *files]
            try:
                docker(*compose, "up", "--detach", "--build", timeout=BUILD_LIMIT)
                yield Container(docker(*compose, "ps", "--all", "--quiet", service).strip(), port)
            finally:
                docker(*compose, "down", *([] if keep else ["--volumes"]), "--rmi", "local", "--timeout", "2")

    @contextlib.contextmanager
    def stack(
        self,
        folder: Path,
        project: str = "",
        *,
        keep: bool = False,
        mounts: Mapping[str, Sequence[str]] = {},  # noqa: B006 - read only
    ) -> Iterator[Callable[[str, int], Container]]:
        """All services of the folder's Compose files, started the way Compose does it, on a strict network.

        What is given takes a service and a port of its container, and returns that container.  With `keep`, the volumes
        stay for the next one of the same `project`; `mounts` are further volumes of services.
        """
        project = project or self.compose_project()
        files = [name for name in ("compose.yml", "compose.override.yml") if (folder / name).exists()]
        given = [option for name in files for option in ("--file", str(folder / name))]
        start = ["compose", "--project-name", project, "--project-directory", str(folder), *given]
        services = json.loads(docker(*start, "config", "--format", "json"))["services"]
        extra: dict[str, dict[str, object]] = {}
        for name, service in services.items():
            extra[name] = {"labels": [self.label], "sysctls": [STRICT[1]], "volumes": list(mounts.get(name, ()))}
            if "build" in service:
                extra[name]["build"] = {"labels": [self.label]}
                if "HARDENER_ENGINE" in os.environ:
                    extra[name]["build"] = {"labels": [self.label], "network": "host"}
        with tempfile.TemporaryDirectory(prefix="hardener-stack-") as scratch:
            override = Path(scratch, "override.json")  # JSON is YAML
            networks = {"default": {"labels": [self.label]}}
            override.write_text(json.dumps({"services": extra, "networks": networks}))
            compose = [*start, "--file", str(override)]
            try:
                docker(*compose, "up", "--detach", "--build", timeout=BUILD_LIMIT)
                yield lambda name, port: Container(docker(*compose, "ps", "--all", "--quiet", name).strip(), port)
            finally:
                docker(*compose, "down", *([] if keep else ["--volumes"]), "--rmi", "local", "--timeout", "2")

    def size(self, image: str) -> int:
        """Bytes of the image."""
        return int(docker("image", "inspect", "--format", "{{.Size}}", image))

    def execute(self, command: str, folder: Path, project: str = "") -> None:
        """Runs a command that the hardener printed, as a person would in `folder`. Raises Broken when it fails."""
        if "HARDENER_ENGINE" in os.environ:  # the private engine has no network of that name
            command = command.replace("docker run ", "docker run --network none ", 1)
        env = {**os.environ, **({"COMPOSE_PROJECT_NAME": project} if project else {})}
        run = subprocess.run(
            ["sh", "-c", command], capture_output=True, stdin=subprocess.DEVNULL, cwd=folder, env=env, check=False
        )
        if run.returncode:
            raise Broken(f"{command!r} failed ({run.returncode}): {(run.stdout + run.stderr).decode(errors='replace')}")

    def remove_all(self) -> None:
        """Removes every container, image, volume and network of this session."""
        for listing, removal in (
            (["ps", "--all", "--quiet"], ["rm", "--force", "--volumes"]),
            (["images", "--all", "--quiet"], ["rmi", "--force"]),
            (["volume", "ls", "--quiet"], ["volume", "rm", "--force"]),
            (["network", "ls", "--quiet"], ["network", "rm", "--force"]),
        ):
            found = sorted(set(docker(*listing, "--filter", f"label={self.label}").split()))
            if found:
                with contextlib.suppress(Broken):  # an image may be shared with a session that runs now
                    docker(*removal, *found)


def without_syntax_line(dockerfile: bytes) -> bytes:
    """The Dockerfile less its `# syntax=` directive."""
    found = _SYNTAX.match(dockerfile)
    return dockerfile if found is None else dockerfile[: found.start(1)] + dockerfile[found.end(1) :]


def copy_of(folder: Path, target: Path) -> Path:
    """A copy of a project to build and to change; modes are kept."""
    shutil.copytree(folder, target, symlinks=True)
    return target


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of every file under `folder`."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes()) for path in files}
