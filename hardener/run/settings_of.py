"""How a project starts its image already, as its Compose file or its documents say: ports, volumes, variables."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hardener import compose, image_runs
from hardener.compose_needs import is_bind
from hardener.migration import DEFAULT_FILES, compose_name
from hardener.runtime.services import environment, items, mount_rows, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.project import Project
    from hardener.stages import StageFacts

PUBLISHED = re.compile(
    r"(?:^|\s)(?:-p|--publish)[ =]?\s*[\"']?((?:[\w.\[\]:]+:)?[\w${}-]*:?\d+(?:/\w+)?)[\"']?(?=\s|$)"
)
VARIABLE = re.compile(r"(?:^|\s)(?:-e|--env)[ =]\s*(\"[^\"]*\"|'[^']*'|\S+)")
VOLUME = re.compile(r"(?:^|\s)(?:-v|--volume)[ =]\s*[\"']?([^\s\"':]+:/[^\s\"']*)")


@dataclass
class Start:
    """What a project says about starting its image: each value with the place that says so."""

    where: str = ""
    image: str = ""
    user: str = ""
    command: tuple[str, ...] = ()
    ports: list[tuple[str, str]] = field(default_factory=list)
    volumes: list[tuple[str, str]] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)
    env_files: list[tuple[str, str]] = field(default_factory=list)
    limits: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def start_of(project: Project, facts: StageFacts) -> Start:
    """Return how the last stage of a project is started: by its Compose service, else by documented commands."""
    services = sorted(
        (one for one in compose.services_of(project, facts.stage) if one.certain),
        key=lambda one: (one.file.name not in DEFAULT_FILES, len(one.file.parts), str(one.file), one.line),
    )
    if services:
        return of_service(project, services[0])
    for run in image_runs.runs(project):
        return of_run(text_of(project, run), f"{run.file}:{run.line}")
    return Start()


def text_of(project: Project, run: image_runs.Run) -> str:
    """Return the text of a documented run as it is now: its ports may have moved with the image's."""
    text = (project.read(run.file) or b"").decode("utf-8", "replace")
    for match in image_runs.RUN_LINE.finditer(text):
        if text.count("\n", 0, match.start()) + 1 == run.line:
            return re.sub(r"\\[ \t]*\r?\n", " ", match[0])
    return run.text


def of_service(project: Project, service: Service) -> Start:
    """Return what a Compose service says."""
    values = service.values
    where = f"{service.file}: {service.name}"
    found = Start(where, str(values.get("image") or ""), str(values.get("user") or ""))
    given = words(values.get("command")) if values.get("command") else ()
    if given is None:
        found.unknown.append(f"the command that {where} gives it")
    found.command = given or ()
    if values.get("entrypoint"):
        found.unknown.append(f"the entrypoint that {where} gives it")
    for one in items(values.get("ports")):
        text = port_of(one)
        if text:
            found.ports.append((text, where))
        else:
            found.unknown.append(f"a port of {where} in a form that is not understood")
    name = compose_name(project, service)
    for source, target, read_only in mount_rows(values):
        mode = ":ro" if read_only else ""
        if source.startswith("tmpfs:") or not target.startswith("/"):
            continue
        if is_bind(source):
            folder = posixpath.normpath(posixpath.join(str(service.file.parent), source))
            host = source if source[:1] in "/~$" else f"$PWD/{folder}"
            found.volumes.append((f"{host}:{target}{mode}", where))
        elif source and re.fullmatch(r"[\w.-]+", source):
            found.volumes.append((f"{name}_{source}:{target}{mode}", where))
    for key, value in environment(values.get("environment")).items():
        found.variables.append((key if value is None else f"{key}={value}", where))
    for one in env_files(values.get("env_file")):
        found.env_files.append((posixpath.normpath(posixpath.join(str(service.file.parent), one)), where))
    found.limits = [*limits(values, where)]
    others = values.get("depends_on")
    if others:
        found.unknown.append(f"the services beside it ({', '.join(others)}): {where} starts it together with them")
    return found


def port_of(value: Any) -> str:
    """Return one of a service's ``ports`` as `docker run` takes it, ``""`` where it is not understood."""
    if isinstance(value, dict):
        target, published = str(value.get("target") or ""), str(value.get("published") or "")
        host = f"{value['host_ip']}:" if value.get("host_ip") else ""
        protocol = f"/{value['protocol']}" if value.get("protocol") not in (None, "tcp") else ""
        return f"{host}{published}:{target}{protocol}" if target and published else target
    return str(value)


def env_files(value: Any) -> Iterator[str]:
    """Yield the paths of ``env_file``, in any of its forms."""
    for one in [value] if isinstance(value, (str, dict)) else items(value):
        path = one.get("path") if isinstance(one, dict) else one
        if path:
            yield str(path)


def limits(values: dict[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """Yield option, value and place of the limits that a service has."""
    deploy = values.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, dict) else None
    table = resources.get("limits") if isinstance(resources, dict) else None
    inner = table if isinstance(table, dict) else {}
    for option, value in (
        ("--memory", values.get("mem_limit") or inner.get("memory")),
        ("--pids-limit", values.get("pids_limit") or inner.get("pids")),
        ("--cpus", values.get("cpus") or inner.get("cpus")),
    ):
        if value:
            yield option, str(value), where


def of_run(text: str, where: str) -> Start:
    """Return what a documented ``docker run`` says."""
    found = Start(where)
    found.ports = [(match[1], where) for match in PUBLISHED.finditer(text)]
    found.volumes = [(match[1].replace("$(pwd)", "$PWD"), where) for match in VOLUME.finditer(text)]
    found.variables = [(match[1].strip("\"'"), where) for match in VARIABLE.finditer(text)]
    return found
