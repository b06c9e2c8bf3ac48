"""The projects of fixtures/projects and what their `probe.toml` says.

Every folder of fixtures/projects holds a project as people write them (`before/`) and a `probe.toml`:

    about       one line
    outcome     what the hardener must decide: "switched", "already" or "manual"
    port        where the container listens before; `port_after` where it listens afterwards (the same if left out)
    ids         the uid and gid of every process afterwards, where they are not 5000:5000
    path, body  a GET request, and a text its answer contains (status 200)
    env         variables of `docker run`;  `volumes`: folders that get a fresh named volume
    healthy     true: the HEALTHCHECK must pass;  target, also_build: the stages to run, and to build besides
    grows       bytes by which the image may grow, besides 1 %: a program is written again without its file capability
    options     of the hardener, besides --in-place;  `starts_as_root`: true where an entrypoint drops root
    old_data    true: the old image writes the volumes first (with Compose, if it has one); then the commands that the
                hardener prints, then the new image, restarted and made anew: it reads the old data and writes more
    [write]     path, data, body: a POST that makes the program write; kept = true: `path` still answers `body` after a restart
    [compose]   service, published: the project is also started with `docker compose up`
    [stack]     service, published, non_root: the project is several containers and is only started with `docker compose up`;
                `service` is asked through its published port, the processes of every service in `non_root` must not be root's
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tomli

PROJECTS = Path(__file__).resolve().parent.parent / "fixtures" / "projects"


@dataclass(frozen=True)
class Write:
    path: str
    body: str
    data: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Compose:
    service: str
    published: int


@dataclass(frozen=True)
class Stack:
    service: str
    published: int
    non_root: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """One folder of fixtures/projects; the fields are explained above."""

    name: str
    about: str
    outcome: str
    port: int
    path: str
    body: str
    port_after: int = 0
    ids: str = "5000:5000"
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    healthy: bool = False
    target: str | None = None
    also_build: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    starts_as_root: bool = False
    old_data: bool = False
    grows: int = 1_000_000
    write: Write | None = None
    compose: Compose | None = None
    stack: Stack | None = None

    @property
    def before(self) -> Path:
        return PROJECTS / self.name / "before"

    @property
    def owner(self) -> tuple[int, int]:
        uid, _, gid = self.ids.partition(":")
        return int(uid), int(gid)

    @property
    def moved_port(self) -> int:
        return self.port_after or self.port


def read_project(folder: Path) -> Project:
    table = tomli.loads((folder / "probe.toml").read_text())
    if "write" in table:
        table["write"] = Write(**table["write"])
    if "compose" in table:
        table["compose"] = Compose(**table["compose"])
    if "stack" in table:
        table["stack"] = Stack(**{**table["stack"], "non_root": tuple(table["stack"]["non_root"])})
    return Project(name=folder.name, **table)


ALL = {probe.parent.name: read_project(probe.parent) for probe in sorted(PROJECTS.glob("*/probe.toml"))}
