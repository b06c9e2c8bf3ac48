"""What a container does: whether it runs, as whom, what it listens on, says and writes; no tool in it is needed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.verify.engine import EngineFailed
from hardener.verify.observation import EPHEMERAL, Answer, Seen
from hardener.verify.probes import Probe, ask_until
from hardener.verify.processes import listening, owners
from hardener.verify.reaching import Spot, is_there, spot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hardener.verify.engine import Engine
    from hardener.verify.runner import Runner, Started

LOG_LINES = "4000"
SETTLE = 1.0
WITHOUT_PORTS = 6.0  # seconds after which a program that listens nowhere is taken for one that never will
WRITTEN_LIMIT = 2000


class State(NamedTuple):
    """What ``inspect`` tells of a container now."""

    status: str
    running: bool
    exit_code: int | None
    restarts: int
    health: str
    process: int
    ports: Mapping[int, tuple[str, int]]
    error: str
    mounts: tuple[str, ...] = ()


def state(engine: Engine, container: str) -> State:
    """Return the state of a container; a container that is gone has ended."""
    said = engine.ask("inspect", container)
    try:
        about: Any = json.loads(said.out)[0]
    except (ValueError, LookupError):
        return State("gone", running=False, exit_code=None, restarts=0, health="", process=0, ports={}, error="gone")
    now = about.get("State") or {}
    health = (now.get("Health") or now.get("Healthcheck") or {}).get("Status") or ""
    ports: dict[int, tuple[str, int]] = {}
    for key, places in ((about.get("NetworkSettings") or {}).get("Ports") or {}).items():
        number, _, protocol = key.partition("/")
        if protocol == "tcp" and places:
            ports[int(number)] = (places[0].get("HostIp") or "127.0.0.1", int(places[0]["HostPort"]))
    running = bool(now.get("Running")) and not now.get("Restarting")
    return State(
        str(now.get("Status") or ""), running, None if running else now.get("ExitCode"),
        int(about.get("RestartCount") or 0), "" if health == "none" else health, int(now.get("Pid") or 0), ports,
        str(now.get("Error") or ""), tuple(str(one.get("Destination")) for one in about.get("Mounts") or ()),
    )  # fmt: skip


def log_of(engine: Engine, container: str) -> str:
    """Return the end of what a container wrote to its outputs."""
    said = engine.ask("logs", "--tail", LOG_LINES, container)
    return said.all if not said.code else ""


def written(engine: Engine, container: str, mounts: Collection[str]) -> tuple[str, ...]:
    """Return the paths of a container's own file system that were added or changed since it was made."""
    said = engine.ask("diff", container)
    rows = [row for row in said.out.splitlines() if row[:2] in ("A ", "C ")] if not said.code else []
    return beside_mounts([row[2:] for row in rows[:WRITTEN_LIMIT]], mounts)


def beside_mounts(paths: Sequence[str], mounts: Collection[str]) -> tuple[str, ...]:
    """Return paths without the folders made for mounts, and without those above that changed for them alone."""
    above = {str(folder) for one in mounts for folder in PurePosixPath(one).parents}
    kept = [path for path in paths if path not in mounts]
    others = [path for path in kept if path not in above]
    return tuple(path for path in kept if path not in above or any(one.startswith(f"{path}/") for one in others))


class Watched(NamedTuple):
    """What was seen of each service, and the questions that were asked (found out, where none were given)."""

    seen: dict[str, Seen]
    probes: tuple[Probe, ...]


def watch(
    runner: Runner, started: dict[str, Started], probes: Sequence[Probe] | None, patience: float, *, ready: bool
) -> Watched:
    """Wait until the services are ready, ask the probes, and return what was seen.

    Without ``probes`` (``None``) they are found out: HTTP where a published port answers it, else TCP.  ``ready``
    tells whether it is known to become ready: then all of ``patience`` (seconds) may pass before it is given up.
    """
    begun = time.monotonic()
    failed = {name: Seen(error=one.error) for name, one in started.items() if not one.container}
    alive = {name: one.container for name, one in started.items() if one.container}
    if failed and not alive:
        return Watched(failed, tuple(probes or ()))
    wanted = tuple(probes) if probes is not None else None
    wait_ready(runner, alive, wanted, begun + patience, ready=ready)
    seconds = time.monotonic() - begun
    if wanted is None:
        answers = discovered(runner, alive, begun + patience)
    else:
        answers = [(probe, *asked(runner, alive, probe, begun + patience)) for probe in wanted]
    found = tuple(probe for probe, _, _ in answers)
    time.sleep(SETTLE)
    seen = {name: look(runner.place.engine, one) for name, one in alive.items()}
    for name, one in seen.items():
        own = tuple(answer for _, service, answer in answers if service == name)
        seen[name] = replace(one, answers=own, seconds=seconds)
    return Watched({**seen, **failed}, found)


def wait_ready(
    runner: Runner, alive: dict[str, str], probes: tuple[Probe, ...] | None, deadline: float, *, ready: bool
) -> None:
    """Return when every service listens and is healthy, one has ended, or nothing is to be waited for any more."""
    engine = runner.place.engine
    begun = time.monotonic()
    while time.monotonic() < deadline:
        now = {name: state(engine, one) for name, one in alive.items()}
        for name, one in now.items():
            if engine.kind == "podman" and one.health == "starting":  # its own timers are systemd's, not everywhere
                engine.ask("healthcheck", "run", alive[name])
        if any(one.status in ("exited", "dead", "gone") for one in now.values()):
            time.sleep(0.3)
            return
        healthy = all(one.health in ("", "healthy") for one in now.values())
        if any(one.health == "unhealthy" for one in now.values()):
            return
        is_late = not ready and time.monotonic() - begun > WITHOUT_PORTS
        awaited = {name: one for name, one in alive.items() if not is_late or runner.is_served(name)}
        if healthy and awaited and all_open(runner, awaited, now, probes):
            return
        if probes is None and healthy and is_late:
            silent = [listening(engine, alive[name], one.process) for name, one in now.items()]
            if not any(silent):
                return
        time.sleep(0.4)


def all_open(runner: Runner, alive: dict[str, str], now: Mapping[str, State], probes: tuple[Probe, ...] | None) -> bool:
    """Whether everything that will be asked listens; without probes, whether every service listens somewhere."""
    if probes is not None:
        asked = [probe for probe in probes if probe.kind != "cmd"]
        return all(any(is_there(runner.place, one) for _, one in spots(runner, alive, probe)) for probe in asked)
    for name, container in alive.items():
        ports = listening(runner.place.engine, container, now[name].process)
        if ports is None:
            published = now[name].ports.items()
            found = [spot(runner.place, container, port, where) for port, where in published]
            ports = tuple(one.port for one in found if is_there(runner.place, one))
        if not [port for port in ports if port < EPHEMERAL]:
            return False
    return True


def spots(runner: Runner, alive: dict[str, str], probe: Probe) -> list[tuple[str, Spot]]:
    """Return service and port of a container of what a probe may mean, the likeliest first."""
    found = []
    others: dict[str, str] = {}
    for service, port in runner.places(probe):
        container = alive.get(service) or others.setdefault(service, runner.container_of(service))
        ports = state(runner.place.engine, container).ports if container else {}
        if port in ports:
            found.append((service, spot(runner.place, container, port, ports[port])))
    return found


def discovered(runner: Runner, alive: dict[str, str], deadline: float) -> list[tuple[Probe, str, Answer]]:
    """Return a probe, service and answer for each published port that somebody listens on.

    The request that finds out is the one that counts: a second one could be answered differently.
    """
    found = []
    engine = runner.place.engine
    first = next(iter(alive))
    for service, port, target in runner.automatic():
        container = alive.get(service) or runner.container_of(service)
        published = state(engine, container).ports.get(target) if container else None
        one = spot(runner.place, container, target, published) if published is not None else None
        if one is not None and is_there(runner.place, one):
            probe = Probe("http", f"http://localhost:{port}/", "", port)
            answer = ask_until(probe, one.address, deadline)
            if answer.error:
                probe = Probe("tcp", f"tcp:{port}", "", port)
                answer = Answer(probe.text)
            found.append((probe, service if service in alive else first, answer))
    return found


def asked(runner: Runner, alive: dict[str, str], probe: Probe, deadline: float) -> tuple[str, Answer]:
    """Return the service that a probe asked, and its answer."""
    first = next(iter(alive))
    if probe.kind == "cmd":
        service = probe.service or first
        container = alive.get(service) or runner.container_of(service)
        if not container:
            return first, Answer(probe.text, error=f"there is no running service {service!r}")
        try:
            said = runner.place.engine.ask("exec", container, "sh", "-c", probe.body or "true", seconds=30)
        except EngineFailed as error:
            return first, Answer(probe.text, error=str(error))
        return (service if service in alive else first), Answer(probe.text, said.code, said.out)
    found = spots(runner, alive, probe)
    open_ones = ((name, one) for name, one in found if is_there(runner.place, one))
    service, place = next(open_ones, found[0] if found else ("", None))
    owner = service if service in alive else first
    if place is None:
        return owner, Answer(probe.text, error=f"port {probe.port} is not published")
    if probe.kind == "tcp":
        while not (listens := is_there(runner.place, place)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return owner, Answer(probe.text, error="" if listens else "nobody listens")
    is_alive = state(runner.place.engine, alive[owner]).running
    return owner, ask_until(probe, place.address, deadline if is_alive else 0.0)


def look(engine: Engine, container: str) -> Seen:
    """Return everything about a container but the answers to probes."""
    now = state(engine, container)
    user, users = owners(engine, container, now.process) if now.running else (None, ())
    return Seen(
        running=now.running, exit_code=now.exit_code, restarts=now.restarts, health=now.health, user=user, users=users,
        ports=listening(engine, container, now.process) if now.running else None,
        log=log_of(engine, container), written=written(engine, container, now.mounts),
        error=now.error if now.status == "created" else "",
    )  # fmt: skip
