"""Real projects, hardened, built, run and asked: what the promise of this program comes down to.

Every folder of fixtures/projects holds one, and a `probe.toml` that says what it does (see probe.py).
The tests need a Docker Engine (tests/engine/start.sh starts one on Debian); without one they skip and say so.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from container import (
    LOCKED,
    PATIENCE,
    REFUSED,
    STRICT,
    Answer,
    Broken,
    Container,
    Engine,
    copy_of,
    docker,
    engine_answers,
    snapshot,
)
from probe import ALL, Project

# What an entrypoint that starts as root needs, besides nothing: see hardener/root_entrypoint.py.
ENTRYPOINT_NEEDS = tuple(
    option for one in ("CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID") for option in ("--cap-add", one)
)
PRINTED = re.compile(r": (docker (?:run|compose) .*? chown .*?)(?:  # .*)?$", re.MULTILINE)
SIZE_FACTOR = 1.01

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Seen:
    """What a container did when it was asked: the answers, and who its processes were."""

    read: Answer
    written: Answer | None
    kept: Answer | None
    owners: frozenset[tuple[int, int]]


def watch(container: Container, project: Project) -> Seen:
    """Asks a running container everything the project's probe says. Raises Broken when it refuses something."""
    read = container.ask(project.path)
    written = kept = None
    if project.write:
        written = container.ask(project.write.path, project.write.data, patience=5)
        if project.write.kept:
            container.restart()
            kept = container.ask(project.write.path)
    if project.healthy:
        container.require_healthy()
    owners = frozenset((process.uid, process.gid) for process in container.processes())
    refused = REFUSED.search(container.log())
    if refused:
        raise Broken(f"its log says {refused[0].decode()!r}:\n{container.log_tail()}")
    return Seen(read, written, kept, owners)


def require_expected(seen: Seen, project: Project) -> None:
    """The answers are those that the probe describes."""
    wanted = [(seen.read, project.body)]
    if project.write and seen.written:
        wanted.append((seen.written, project.write.body))
    if project.write and seen.kept:
        wanted.append((seen.kept, project.write.body))
    for answer, body in wanted:
        if answer.status != 200 or body not in answer.body:
            raise Broken(f"answered {answer.status} {answer.body[:500]!r} instead of 200 {body!r}")


@dataclass(frozen=True)
class Reference:
    """The project as it was written: what it answers, and the size of its image."""

    seen: Seen
    size: int


def run_before(engine: Engine, project: Project) -> Reference:
    image = engine.build(project.before, f"{project.name}-before", project.target)
    with engine.run(image, project.port, env=project.env, volumes=project.volumes) as container:
        seen = watch(container, project)
    require_expected(seen, project)
    root_alone = seen.owners == {(0, 0)}
    if project.outcome == "switched" and (0, 0) not in seen.owners:
        raise Broken(f"the project is no good example: its processes run as {sorted(seen.owners)} already")
    if project.outcome == "already" and root_alone:
        raise Broken("the project is no good example: it runs as root")
    return Reference(seen, engine.size(image))


def run_after(engine: Engine, project: Project, folder: Path, reference: Reference) -> int:
    """Builds the hardened copy in `folder` and runs it twice; returns the image's size. Raises Broken."""
    image = engine.build(folder, f"{project.name}-after", project.target)
    size = engine.size(image)
    if size > reference.size * SIZE_FACTOR + project.grows:
        raise Broken(f"the image grew from {reference.size} to {size} bytes")
    locked = (*LOCKED, *ENTRYPOINT_NEEDS) if project.starts_as_root else LOCKED
    for options in (STRICT, (*STRICT, *locked)):
        try:
            with engine.run(image, project.moved_port, options, project.env, project.volumes) as container:
                require_same(watch(container, project), project, reference.seen)
        except Broken as problem:
            raise Broken(f"with {' '.join(options)}: {problem}") from problem
    for stage in project.also_build:
        engine.build(folder, f"{project.name}-after-{stage}", stage)
    return size


def require_same(seen: Seen, project: Project, before: Seen) -> None:
    require_expected(seen, project)
    if (seen.read, seen.written, seen.kept) != (before.read, before.written, before.kept):
        raise Broken(f"it answers {seen} and no longer {before}")
    if seen.owners != {project.owner}:
        raise Broken(f"processes run as {sorted(seen.owners)} and not all as {project.ids}")


def run_compose(engine: Engine, project: Project, folder: Path, port: int) -> Seen:
    """Starts the project with Compose, on a host port that is free now. Raises Broken."""
    assert project.compose
    published = free_port()
    composed = copy_of(folder, folder.with_name(f"{folder.name}-compose"))
    text = (composed / "compose.yml").read_text()
    # as an argument of sed would: only the host's side of the mapping changes
    (composed / "compose.yml").write_text(text.replace(f"{project.compose.published}:", f"{published}:"))
    with engine.compose(composed, project.compose.service, port) as container:
        seen = watch(container, project)
        mapped = container.host().rpartition(":")[2]
        if int(mapped) != published:
            raise Broken(f"the service is published on {mapped} and no longer on {published}")
    require_expected(seen, project)
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def upgrade(engine: Engine, project: Project, folder: Path, commands: list[str]) -> None:
    """Data of the old image, the printed commands, the new image: the data are there, and more can be written."""
    old = f"hardener-test/{project.name}-before:{engine.session}"
    new = f"hardener-test/{project.name}-after:{engine.session}"
    with engine.volumes(project.volumes) as mounted:
        with engine.run(old, project.port, env=project.env, mounted=mounted) as container:
            write_old_data(container, project)
        for command in commands:
            path = next(one for one in project.volumes if f"VOLUME:{one} " in command)
            engine.execute(command.replace("VOLUME", mounted[path]).replace("IMAGE", old), folder)
        for _ in ("first", "made anew"):
            with engine.run(new, project.moved_port, STRICT, project.env, mounted=mounted) as container:
                require_old_data(container, project)


def upgrade_compose(engine: Engine, project: Project, old: Path, folder: Path, commands: list[str]) -> None:
    """The same with Compose, whose volumes have names of their own."""
    assert project.compose
    name, service = engine.compose_project(), project.compose.service
    with engine.compose(unpublished(old), service, project.port, name, keep=True) as container:
        write_old_data(container, project)
        docker("stop", "--time", "1", container.id)
        for command in commands:
            engine.execute(command, old, name)
    new = unpublished(folder)
    with engine.compose(new, service, project.moved_port, name, keep=True) as container:
        require_old_data(container, project)
    with engine.compose(new, service, project.moved_port, name) as container:
        require_old_data(container, project)


def unpublished(folder: Path) -> Path:
    """A copy of a Compose project that takes any free port of the host."""
    copy = copy_of(folder, folder.with_name(f"{folder.name}-upgrade"))
    text = (copy / "compose.yml").read_text()
    (copy / "compose.yml").write_text(re.sub(r'"\d+:(\d+)"', r'"127.0.0.1::\1"', text))
    return copy


def write_old_data(container: Container, project: Project) -> None:
    assert project.write
    container.ask(project.path)
    container.ask(project.write.path, project.write.data)
    if {process.uid for process in container.processes()} != {0}:
        raise Broken("the old image does not run as root")


def require_old_data(container: Container, project: Project) -> None:
    """What was written before is read, more is written, and both are there after a restart."""
    assert project.write
    kept = container.ask(project.write.path)
    if kept.status != 200 or project.write.body not in kept.body:
        raise Broken(f"the data of the old image cannot be read: {kept}")
    more = container.ask(project.write.path, f"{project.write.data} again")
    if more.status != 200 or len(more.body) <= len(kept.body):
        raise Broken(f"nothing more can be written: {more}; its log:\n{container.log_tail()}")
    container.restart()
    if container.ask(project.write.path) != more:
        raise Broken("a restart loses data")
    if {(process.uid, process.gid) for process in container.processes()} != {project.owner}:
        raise Broken(f"processes run as {container.processes()}")
    if refused := REFUSED.search(container.log()):
        raise Broken(f"its log says {refused[0].decode()!r}:\n{container.log_tail()}")


def image_files(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """The files of a snapshot but those that start the image: these may get run-time options whatever its user."""
    return {path: data for path, data in files.items() if not path.endswith((".yml", ".yaml"))}


def harden(folder: Path, options: Sequence[str] = ()) -> str:
    """Runs the command line on `folder`, in place; returns what it said on standard error."""
    run = subprocess.run(
        [sys.executable, "-m", "hardener", str(folder), "--in-place", "--verbose", *options],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    said = run.stderr.decode(errors="replace")
    if run.returncode:
        raise Broken(f"the hardener ended with exit code {run.returncode}: {said}")
    return said


def prove(engine: Engine, project: Project, scratch: Path) -> str:
    """Everything about one project; returns a line for the report. Raises Broken at the first thing that is not so."""
    started = time.monotonic()
    if project.stack:
        return prove_stack(engine, project, scratch)
    reference = run_before(engine, project)
    folder = copy_of(project.before, scratch / project.name)
    original = snapshot(folder)
    said = harden(folder, project.options)
    hardened = snapshot(folder)
    if project.outcome != "switched":
        if image_files(hardened) != image_files(original):
            raise Broken(f"files changed though the outcome should be {project.outcome}: {said}")
        if project.outcome not in said.lower():
            raise Broken(f"the hardener does not say {project.outcome!r}: {said!r}")
        return f"{project.name}: {project.outcome}, untouched ({time.monotonic() - started:.0f} s)"

    if hardened == original:
        raise Broken(f"nothing changed though the project should be switched: {said}")
    harden(folder, project.options)
    if snapshot(folder) != hardened:
        raise Broken("a second run changed the files again")
    size = run_after(engine, project, folder, reference)
    if project.compose:
        untouched = copy_of(project.before, scratch / f"{project.name}-before")
        run_compose(engine, project, untouched, project.port)
        composed = run_compose(engine, project, folder, project.moved_port)
        if composed.owners != {project.owner}:
            raise Broken(f"with Compose, processes run as {sorted(composed.owners)}")
    if project.old_data:
        commands = PRINTED.findall(said.split("\n", 1)[1])
        if bool(commands) is project.starts_as_root:
            raise Broken(f"the hardener prints {commands} for the data of the old image: {said}")
        if project.compose:
            untouched = copy_of(project.before, scratch / f"{project.name}-old")
            upgrade_compose(engine, project, untouched, folder, commands)
        else:
            upgrade(engine, project, folder, commands)
    moved = f", port {project.port} -> {project.moved_port}" if project.port_after else ""
    return (
        f"{project.name}: switched{moved}, image {reference.size / 1e6:.1f} -> {size / 1e6:.1f} MB "
        f"({time.monotonic() - started:.0f} s)"
    )


def run_stack(engine: Engine, project: Project, folder: Path, port: int) -> tuple[Answer, dict[str, frozenset[int]]]:
    """Starts all containers of a project; returns the answer, and the users of each service's processes."""
    assert project.stack
    published = free_port()
    for name in ("compose.yml", "compose.override.yml"):
        file = folder / name
        if file.exists():
            file.write_text(re.sub(rf"\b{project.stack.published}\b", str(published), file.read_text()))
    with engine.stack(folder) as container_of:
        asked = container_of(project.stack.service, port)
        deadline = time.monotonic() + PATIENCE
        answer = asked.ask(project.path)
        while answer.status != 200 and time.monotonic() < deadline:  # a service or a route behind it is not up yet
            time.sleep(0.5)
            answer = asked.ask(project.path)
        if answer.status != 200 or project.body not in answer.body:
            raise Broken(f"answered {answer.status} {answer.body[:500]!r}; its log:\n{asked.log_tail()}")
        mapped = asked.host().rpartition(":")[2]
        if int(mapped) != published:
            raise Broken(f"the service is published on {mapped} and no longer on {published}")
        users = {}
        for name in project.stack.non_root:
            container = container_of(name, port)
            container.require_running()
            users[name] = frozenset(process.uid for process in container.processes())
    return answer, users


def prove_stack(engine: Engine, project: Project, scratch: Path) -> str:
    """Several containers: the same answer through the same published port, before and after."""
    started = time.monotonic()
    assert project.stack
    before, users = run_stack(
        engine, project, copy_of(project.before, scratch / f"{project.name}-before"), project.port
    )
    if any(0 not in found for found in users.values()):
        raise Broken(f"the project is no good example: its processes run as {users} already")
    folder = copy_of(project.before, scratch / project.name)
    said = harden(folder)
    hardened = snapshot(folder)
    harden(folder)
    if snapshot(folder) != hardened:
        raise Broken("a second run changed the files again")
    try:
        after, users = run_stack(engine, project, folder, project.moved_port)
    except Broken as problem:
        raise Broken(f"hardened ({said}): {problem}") from problem
    if after != before:
        raise Broken(f"it answers {after} and no longer {before}")
    if any(0 in found for found in users.values()):
        raise Broken(f"processes run as {users}")
    return f"{project.name}: {len(users)} services switched ({time.monotonic() - started:.0f} s)"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if not engine_answers():
        message = "no Docker Engine answers: nothing was built or run; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)
    engine = Engine.open()
    try:
        yield engine
    finally:
        engine.remove_all()


@pytest.fixture(scope="session")
def proofs(
    engine: Engine, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """The proofs of all selected projects, under way at the same time: one for each processor."""
    scratch = tmp_path_factory.mktemp("projects")
    chosen = [item.callspec.params["name"] for item in request.session.items if "proofs" in item.fixturenames]
    pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2))
    try:
        yield {name: pool.submit(prove, engine, ALL[name], scratch) for name in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", ALL)
def test_project(name: str, proofs: dict[str, Future[str]], request: pytest.FixtureRequest) -> None:
    problem = proofs[name].exception()
    if isinstance(problem, Broken):  # what was seen says more than where it was noticed
        pytest.fail(str(problem), pytrace=False)
    line = proofs[name].result()
    if os.environ.get("CI") or request.config.get_verbosity() > 0:
        with request.getfixturevalue("capsys").disabled():
            print(f"\n  {line}", end="", flush=True)


# What people do by hand, and what is wrong with it: the harness must notice each of them.
BY_HAND = {
    "the folder of the SQLite file stays root's": (
        "django-sqlite",
        [
            (b"COPY . /code/", b"COPY --chown=5000:5000 . /code/"),
            (b"CMD python", b"USER 5000:5000\nCMD python"),
        ],
        "unable to open database file|readonly database|answered 500",
    ),
    "the port that the program binds stays 80": (
        "flask",
        [(b"EXPOSE 80\n", b"EXPOSE 8080\nUSER 5000:5000\n")],
        "ended with exit code|no answer",
    ),
    "a stage built from the switched one installs packages": (
        "compose-target",
        [
            (b"WORKDIR /srv/todo\n", b"WORKDIR /srv/todo\nRUN chown 5000:5000 .\n"),
            (b"COPY todo.py", b"COPY --chown=5000:5000 todo.py"),
            (b"EXPOSE 80", b"EXPOSE 8080"),
            (b'"--port", "80"]\n\n', b'"--port", "8080"]\nUSER 5000:5000\n\n'),
        ],
        "docker build failed",
    ),
    "the volume belongs to root": (
        "volume-notes",
        [(b"VOLUME /data\n", b"VOLUME /data\nUSER 5000:5000\n")],
        "PermissionError|[Pp]ermission denied",
    ),
}


@pytest.mark.parametrize("mistake", BY_HAND)
def test_a_bad_hardening_is_noticed(mistake: str, engine: Engine, tmp_path: Path) -> None:
    name, replacements, complaint = BY_HAND[mistake]
    folder = copy_of(ALL[name].before, tmp_path / name)
    text = (folder / "Dockerfile").read_bytes()
    for old, new in replacements:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "Dockerfile").write_bytes(text)
    reference = run_before(engine, ALL[name])
    with pytest.raises(Broken, match=complaint):
        run_after(engine, ALL[name], folder, reference)


@pytest.mark.parametrize("name", ["old-sqlite", "old-log-file"])
def test_without_the_printed_command_the_old_data_are_lost_to_it(name: str, engine: Engine, tmp_path: Path) -> None:
    project = ALL[name]
    folder = copy_of(project.before, tmp_path / name)
    run_after(engine, project, folder_hardened(folder), run_before(engine, project))
    with pytest.raises(Broken, match="readonly database|[Pp]ermission denied|nothing more can be written"):
        upgrade(engine, project, folder, commands=[])


def folder_hardened(folder: Path) -> Path:
    harden(folder)
    return folder
