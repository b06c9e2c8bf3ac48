"""Compose projects, hardened and started under exactly the options that were written: twice, on a fresh and a used volume.

Like test_end_to_end.py these need a Docker Engine and skip, aloud, without one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from container import REFUSED, Broken, Container, Engine, copy_of, docker
from probe import ALL, Project
from test_end_to_end import engine, harden

__all__ = ["engine"]  # the fixture

pytestmark = pytest.mark.engine

# Projects of fixtures/projects, those without a Compose file get one: the service to ask, and whether its root file system
# is read-only afterwards.
PROJECTS = {
    "express": True,
    "fastapi": True,
    "flask": True,
    "go-scratch": True,
    "nginx-spa": True,
    "httpd-static": False,
    "compose-volume": False,
    "stack-go-and-python": True,
    "stack-nginx-and-node": False,
}

DATABASES = """services:
  db:
    image: postgres:16
    environment: {POSTGRES_PASSWORD: secret}
    volumes: [db:/var/lib/postgresql/data]
  db-with-secret:
    image: postgres:16
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/password}
    secrets: [password]
    volumes: [other-db:/var/lib/postgresql/data]
  cache:
    image: redis:7
    command: redis-server --appendonly yes
    volumes: [cache:/data]
  cache-of-the-host:
    image: redis:7
    command: redis-server --appendonly yes
    volumes: [./data:/data]
secrets:
  password: {file: ./password.txt}
volumes: {db: , other-db: , cache: }
"""


def status(container: Container) -> dict[str, str]:
    """The lines of /proc/PID/status of the container's first process, as the host has them."""
    pid = docker("inspect", "--format", "{{.State.Pid}}", container.id).strip()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def inside(container: Container, *command: str, user: str = "") -> tuple[int, str]:
    """Exit code and output of a command in a container."""
    options = ["--user", user] if user else []
    run = subprocess.run(
        ["docker", "exec", *options, container.id, *command], capture_output=True, text=True, timeout=60, check=False
    )
    return run.returncode, run.stdout + run.stderr


def has_shell(container: Container) -> bool:
    return inside(container, "sh", "-c", "true")[0] == 0


def require_confined(container: Container, options: dict[str, object]) -> None:
    """The first process has no capability, gains none, and cannot write outside of what is listed."""
    found = status(container)
    assert int(found["CapEff"], 16) == 0, found["CapEff"]
    assert found["NoNewPrivs"] == "1"
    if not has_shell(container):
        return
    code, text = inside(container, "sh", "-c", "echo x > /outside", user="0")
    assert bool(options.get("read_only")) is ("Read-only file system" in text), (code, text)


def require_no_escalation(container: Container) -> None:
    """A setuid program of root's, which is root for everybody elsewhere, is nobody's root here."""
    code, text = inside(container, "/setuid/id", "-u", user="12345:12345")
    if "no such file" not in text:  # an image without the libraries of Debian's programs
        assert (code, text) == (0, "12345\n")


@pytest.fixture(scope="module")
def setuid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `id` as a setuid program."""
    folder = tmp_path_factory.mktemp("setuid")
    program = shutil.which("id")
    assert program
    shutil.copy(program, folder / "id")
    (folder / "id").chmod(0o4755)
    for one in (folder, *folder.parents):
        if one == Path("/tmp"):
            break
        one.chmod(0o755)
    return folder


def written_options(folder: Path) -> dict[str, dict[str, object]]:
    services = json.loads(docker("compose", "--project-directory", str(folder), "-f", str(folder / "compose.yml"),
                                 "config", "--format", "json"))["services"]  # fmt: skip
    return services  # type: ignore[no-any-return]


def prepared(project: Project, folder: Path, setuid: Path) -> None:
    """Gives a project a Compose file, a free port, and the setuid program in every container."""
    file = folder / "compose.yml"
    if not file.exists():
        volumes = [f"kept{number}:{path}" for number, path in enumerate(project.volumes)]
        named = {one.partition(":")[0]: {} for one in volumes}
        service = {
            "build": ".",
            "ports": [f"127.0.0.1::{project.port}"],
            "volumes": volumes,
            "environment": project.env,
        }
        file.write_text(json.dumps({"services": {"app": service}, "volumes": named}, indent=2))
    else:
        file.write_text(re.sub(r'"\d+:(\d+)"', r'"127.0.0.1::\1"', file.read_text()))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_works_under_the_options_that_were_written(name, engine, setuid, tmp_path) -> None:
    project = ALL[name]
    folder = copy_of(project.before, tmp_path / name)
    prepared(project, folder, setuid)
    before = written_options(folder)
    said = harden(folder, project.options)
    after = written_options(folder)
    assert before.keys() == after.keys()
    service = project.stack.service if project.stack else project.compose.service if project.compose else "app"
    assert bool(after[service].get("read_only")) is PROJECTS[name], said
    mounts = {one: [f"{setuid}:/setuid:ro"] for one in after}
    port = project.moved_port
    made = engine.compose_project()
    for keep in (True, False):  # a fresh volume, and then a used one
        with engine.stack(folder, made, keep=keep, mounts=mounts) as container_of:
            asked = container_of(service, port)
            for _ in ("started", "restarted")[: 2 if keep else 1]:
                answer = asked.ask(project.path)
                assert answer.status == 200, answer
                if project.write:
                    written = asked.ask(project.write.path, project.write.data)
                    assert project.write.body in written.body
                for one, options in after.items():
                    if "ALL" in options.get("cap_drop", ()) and not options.get("cap_add"):
                        container = container_of(one, port)
                        require_confined(container, options)
                        require_no_escalation(container)
                assert not REFUSED.search(asked.log()), asked.log_tail()
                asked.restart()


@pytest.fixture(scope="module")
def databases(engine: Engine) -> Iterator[None]:
    """The imitations of postgres and redis, on the private engine only."""
    if "HARDENER_ENGINE" in os.environ:
        for tag in ("postgres:16", "redis:7"):
            docker("build", "--network", "host", "--target", tag.partition(":")[0], "--tag", tag, "--file",
                   str(ROOT / "tests/engine/databases.Dockerfile"), str(ROOT / "tests/engine"), timeout=600)  # fmt: skip
    yield


def test_databases_keep_their_data_under_the_options_that_were_written(engine, databases, tmp_path) -> None:
    folder = tmp_path / "databases"
    folder.mkdir()
    (folder / "compose.yml").write_text(DATABASES)
    (folder / "password.txt").write_text("secret")
    (folder / "password.txt").chmod(0o600)
    (folder / "data").mkdir()
    os.chown(folder / "data", 1000, 1000)
    (folder / "data").chmod(0o700)
    harden(folder)
    options = written_options(folder)
    assert {name: one.get("user") for name, one in options.items()} == {
        "db": "999:999", "db-with-secret": None, "cache": "999:999", "cache-of-the-host": None,
    }  # fmt: skip
    assert all(one["read_only"] for one in options.values())
    made = engine.compose_project()
    for start, keep in enumerate((True, True, False)):
        with engine.stack(folder, made, keep=keep) as container_of:
            for name in options:
                container = container_of(name, 0)
                if name.startswith("db"):
                    sql(container, "create table if not exists visits (at int)")
                    sql(container, f"insert into visits values ({start})")
                    assert sql(container, "select count(*) from visits") == str(start + 1)
                else:
                    retried(container, "redis-cli", "incr", "visits")
                    assert retried(container, "redis-cli", "get", "visits") == str(start + 1)
                    assert retried(container, "redis-cli", "save") == "OK"
                require_confined(container, options[name])
                container.require_running()
                container.restart()
                (sql(container, "select 1") if name.startswith("db") else retried(container, "redis-cli", "ping"))


def sql(container: Container, statement: str) -> str:
    return retried(container, "psql", "-U", "postgres", "-qtA", "-c", statement)


def retried(container: Container, *command: str) -> str:
    import time

    text = ""
    for _ in range(100):
        code, text = inside(container, *command)
        if code == 0 and "LOADING" not in text:
            return text.strip()
        container.require_running()
        time.sleep(0.2)
    raise Broken(f"{command} says {text}; its log:\n{container.log_tail()}")


def test_the_setuid_program_makes_everybody_root_where_nothing_was_written(engine, setuid) -> None:
    said = docker("run", "--rm", "--network", "none", "--user", "12345:12345", "--volume", f"{setuid}:/setuid:ro",
                  "debian:bookworm-slim", "/setuid/id", "-u")  # fmt: skip
    assert said == "0\n", "the other tests prove nothing without this"


def test_without_the_capabilities_of_the_second_start_a_database_dies(engine, databases, tmp_path) -> None:
    """What breakage is known for: CHOWN, SETGID and SETUID alone are enough for a fresh volume only."""
    (tmp_path / "compose.yml").write_text(
        "services:\n  cache:\n    image: redis:7\n    command: redis-server --appendonly yes\n    cap_drop: [ALL]\n"
        "    cap_add: [CHOWN, SETGID, SETUID]\n    volumes: ['cache:/data']\nvolumes: {cache: }\n"
    )
    with engine.stack(tmp_path) as container_of:
        container = container_of("cache", 0)
        retried(container, "redis-cli", "set", "a", "1")
        docker("restart", "--time", "2", container.id)
        with pytest.raises(Broken, match="Permission denied"):
            retried(container, "redis-cli", "ping")
