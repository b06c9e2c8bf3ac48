"""A single image: built from its Dockerfile, and run as ``docker run`` does it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from hardener.compose_needs import is_bind
from hardener.documented_runs import MOUNT, run_texts
from hardener.image_runs import PUBLISHED
from hardener.verify.engine import EngineFailed, stream
from hardener.verify.observation import Image
from hardener.verify.runner import LOCKED, TO_DROP_ROOT, BuildFailed, Options, Started, build_words, excerpt_of_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hardener.migration import Migration
    from hardener.project import Project
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Place

SERVICE = "app"
VARIABLE = re.compile(r"(?:^|\s)(?:-e|--env)[ =]\s*(\"[^\"]*\"|'[^']*'|[^\s\\]+)")


class Documented(NamedTuple):
    """What the documented ways of running an image say: variables, mounted volumes, ports of the container."""

    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


@dataclass
class ImageRunner:
    """One side of an image: ``file`` is its Dockerfile, ``context`` the folder it is built in."""

    place: Place
    name: str
    file: Path
    context: Path
    documented: Documented = Documented()
    image: Image = Image()
    containers: list[str] = field(default_factory=list)
    numbers: int = 0

    @property
    def services(self) -> tuple[str, ...]:
        """The image is the only service."""
        return (SERVICE,)

    @property
    def has_volumes(self) -> bool:
        """Whether the image or its project has volumes."""
        return bool(self.volumes)

    @property
    def volumes(self) -> tuple[str, ...]:
        """Every path that gets a volume: an unnamed one would carry no label."""
        wanted = (*self.image.volumes, *self.documented.volumes, *self.place.wishes.volumes)
        return tuple(dict.fromkeys(one.rstrip("/") or "/" for one in wanted))

    def is_served(self, service: str) -> bool:
        """Whether the image or its project names a port."""
        return bool(self.ports)

    def volume_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths that are volumes."""
        return self.volumes

    def data_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths that are volumes: no folder of the host is mounted."""
        return self.volume_paths(service)

    @property
    def tag(self) -> str:
        """The tag of the image."""
        return self.place.tag(self.name)

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that is published."""
        named = (*self.image.ports, *self.documented.ports, *self.place.ports)
        moved = (self.place.settings.new_port(port) for port in named if port < 1024)
        return tuple(dict.fromkeys((*named, *moved)))

    def build(self) -> dict[str, Image]:
        """Build the image; raises ``BuildFailed``."""
        wishes = self.place.wishes
        words = build_words(self.place, self.file, self.tag, self.context, wishes.target)
        said = stream(words, wishes.build_seconds, self.place.show, {"DOCKER_BUILDKIT": "1"})
        if said.code:
            raise BuildFailed(excerpt_of_build(said.all))
        self.image = inspected(json.loads(self.place.engine.do("image", "inspect", self.tag)))
        return {SERVICE: self.image}

    def start(self, storage: str, options: Options) -> dict[str, Started]:
        """Start the image in a new container."""
        self.numbers += 1
        name = f"hardener-verify-{self.place.run.id}-{self.place.side}-{self.numbers}"
        self.containers.append(name)
        words = ["run", "--detach", "--name", name, *self.place.run.label_options]
        words += ["--network", self.network(), "--hostname", SERVICE, "--health-interval", "2s"]
        words += ["--sysctl", self.place.sysctl] if self.place.sysctl else []
        words += LOCKED if options.locked else ()
        for one in TO_DROP_ROOT if options.locked and options.drops else ():
            words += ["--cap-add", one]
        words += ["--tmpfs", "/tmp"] if options.locked else []  # noqa: S108
        words += ["--user", options.user] if options.user else []
        for port in self.ports:
            words += ["--publish", f"{self.place.wishes.publish_address}::{port}"]
        for one in (*self.documented.environment, *self.place.wishes.environment):
            words += ["--env", one]
        for path, volume in self.volume_names(storage).items():
            words += ["--volume", f"{volume}:{path}"]
        said = self.place.engine.ask(*words, self.tag, *self.place.wishes.command)
        if said.code:
            return {SERVICE: Started("", said.err.strip() or said.out.strip())}
        return {SERVICE: Started(name)}

    def restart(self, started: dict[str, Started]) -> None:
        """Stop and start the container."""
        for one in started.values():
            if one.container:
                self.place.engine.ask("restart", "--time", "3", one.container)

    def network(self) -> str:
        """Return the run's network, made where it is not there yet."""
        name = f"hardener-verify-{self.place.run.id}"
        if self.place.engine.ask("network", "inspect", name).code:
            self.place.engine.do("network", "create", *self.place.run.label_options, name)
        return name

    def volume_names(self, storage: str) -> dict[str, str]:
        """Return path and name of every volume, made where they are not there yet."""
        names = {}
        for path in self.volumes:
            name = f"hardener-verify-{self.place.run.id}-{storage}-{re.sub(r'[^A-Za-z0-9]+', '-', path).strip('-')}"
            if self.place.engine.ask("volume", "inspect", name).code:
                self.place.engine.do("volume", "create", *self.place.run.label_options, name)
            names[path] = name
        return names

    def stop(self) -> None:
        """Remove the containers."""
        for name in self.containers:
            self.place.engine.ask(*self.place.engine.removal, name)
        self.containers.clear()

    def drop(self, storage: str) -> None:
        """Remove the volumes."""
        for name in self.volume_names(storage).values():
            self.place.engine.ask("volume", "rm", "--force", name)

    def places(self, probe: Probe) -> list[tuple[str, int]]:
        """Return the ports that a probe may mean: its own, the one that it moved to, others that the image names."""
        new = self.place.settings.new_port(probe.port) if probe.port < 1024 else probe.port
        return [(SERVICE, port) for port in dict.fromkeys((probe.port, new, *self.image.ports)) if port in self.ports]

    def container_of(self, service: str) -> str:
        """Return the newest container."""
        return self.containers[-1] if self.containers else ""

    def automatic(self) -> list[tuple[str, int, int]]:
        """Return every published port."""
        return [(SERVICE, port, port) for port in self.ports]

    def with_ports(self, ports: Iterable[int]) -> None:
        """Publish more ports from the next start on."""
        known = (*self.place.ports, *ports)
        self.place = replace(self.place, ports=tuple(dict.fromkeys(known)))

    def migrate(self, storage: str, migrations: Sequence[Migration]) -> list[tuple[Migration, str]]:
        """Run the printed commands on the volumes of ``storage``, without a network; return what failed."""
        failed = []
        names = self.volume_names(storage)
        for one in migrations:
            volume = names.get(one.path.rstrip("/"))
            if one.kind != "volume" or volume is None:
                continue
            command = one.command.replace("VOLUME:", f"{volume}:").replace(" IMAGE ", f" {self.tag} ")
            words = shlex.split(command)
            try:
                self.place.engine.do(words[1], *self.place.run.label_options, "--network", "none", *words[2:])
            except EngineFailed as error:
                failed.append((one, str(error)))
        return failed


def inspected(answer: list[dict[str, object]]) -> Image:
    """Return what ``image inspect`` tells of an image (Docker and Podman have the same keys)."""
    about = answer[0]
    config = about.get("Config") or {}
    layers = about.get("RootFS") or {}
    assert isinstance(config, dict)
    assert isinstance(layers, dict)
    exposed = config.get("ExposedPorts") or {}
    return Image(
        size=int(str(about.get("Size") or 0)),
        layers=len(layers.get("Layers") or ()),
        user=str(config.get("User") or ""),
        ports=tuple(sorted(int(one.partition("/")[0]) for one in exposed if one.endswith("/tcp"))),
        volumes=tuple(sorted(config.get("Volumes") or {})),
    )


def documented(project: Project) -> Documented:
    """Return what the ``docker run`` lines of a project (README, scripts, CI files) tell of its image."""
    environment: dict[str, str] = {}
    volumes: list[str] = []
    ports: list[int] = []
    for _, _, text in run_texts(project):
        for word in VARIABLE.findall(text):
            key, equals, value = word.strip("\"'").partition("=")
            if equals and "$" not in value:
                environment.setdefault(key, f"{key}={value}")
        volumes += [
            path.rstrip("/") for source, path, flags in MOUNT.findall(text) if not is_bind(source) and not flags
        ]
        ports += [int(port) for port in PUBLISHED.findall(text)]
    return Documented(tuple(environment.values()), tuple(dict.fromkeys(volumes)), tuple(dict.fromkeys(ports)))
