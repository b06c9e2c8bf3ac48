"""What both ways of starting a project have in common: a single image, and the services of a Compose file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hardener.verify.engine import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hardener.migration import Migration
    from hardener.settings import Settings
    from hardener.verify.engine import Engine
    from hardener.verify.observation import Image
    from hardener.verify.probes import Probe
    from hardener.verify.registry import Run
    from hardener.verify.tunnels import Tunnels

# Docker lets every user open every port on its own networks; Kubernetes, Podman and the host's network do not.
STRICT_PORTS = "net.ipv4.ip_unprivileged_port_start=1024"
FREE_PORTS = "net.ipv4.ip_unprivileged_port_start=0"
LOCKED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only")
# What a start script needs that gives files to its user and becomes that user; see hardener/root_entrypoint.py.
TO_DROP_ROOT = ("CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID")
# A user that no image has, as OpenShift gives one to each project; its group is 0.
# https://docs.openshift.com/container-platform/latest/openshift_images/create-images.html
ARBITRARY = "1000950000:0"


class BuildFailed(Exception):
    """A build failed; the message is the end of its output."""


class Started(NamedTuple):
    """One service that was asked to start: its container (``""`` without one) and what the engine said against it."""

    container: str
    error: str = ""


class Options(NamedTuple):
    """How a scenario starts the containers."""

    locked: bool = False
    user: str = ""
    drops: frozenset[str] = frozenset()
    """Services that start as root and give it up: locked up, they keep the capabilities that this takes."""


class Wishes(NamedTuple):
    """What the command line says about building and running."""

    build_network: str = ""
    build_arguments: tuple[str, ...] = ()
    build_seconds: float = 900.0
    start_seconds: float = 60.0
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    context: str = ""
    target: str = ""
    publish_address: str = "127.0.0.1"
    tolerance: float = 0.0
    skip: frozenset[str] = frozenset()
    allowed_log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where one side of a project is built and run from.  ``side`` is before or after (with the number of a try)."""

    engine: Engine
    run: Run
    root: Path
    side: str
    wishes: Wishes
    settings: Settings
    show: Callable[[str], None] | None = None
    """Gets the lines of builds as they come, where the user wants to see them."""
    ports: tuple[int, ...] = ()
    """Ports that are published besides those that the image or its project names."""
    tunnels: Tunnels | None = None
    """Ways to the ports of an engine on another machine."""

    @property
    def sysctl(self) -> str:
        """What is set for ports below 1024: by default, that only root may open them."""
        return {"move": STRICT_PORTS, "keep": "", "capability": FREE_PORTS}[self.settings.port_policy]

    def tag(self, name: str) -> str:
        """Return a tag for an image of this side that nothing else has."""
        return f"hardener-verify/{name}:{self.run.id}-{self.side}"


class Runner(Protocol):
    """One side of a project: built once, started in several ways."""

    place: Place

    @property
    def services(self) -> tuple[str, ...]:
        """The services that are watched: those that the project builds."""

    @property
    def has_volumes(self) -> bool:
        """Whether anything outlives a container."""

    def is_served(self, service: str) -> bool:
        """Whether the project names a port of a service, which will be listened on sooner or later."""

    def volume_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths of a service's container that are volumes."""

    def data_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths of a service's container that outlive it and that it may write: volumes and folders."""

    def build(self) -> dict[str, Image]:
        """Build every image and return what each service's is; raises ``BuildFailed``."""

    def start(self, storage: str, options: Options) -> dict[str, Started]:
        """Start everything on the volumes called ``storage``, made where they are not there yet."""

    def restart(self, started: dict[str, Started]) -> None:
        """Stop and start the same containers."""

    def stop(self) -> None:
        """Remove the containers; volumes stay."""

    def drop(self, storage: str) -> None:
        """Remove volumes."""

    def places(self, probe: Probe) -> list[tuple[str, int]]:
        """Return service and container port that a probe may mean on this side, the likeliest first."""

    def automatic(self) -> list[tuple[str, int, int]]:
        """Return what can be asked without being told: service, port in a probe's text, port of the container."""

    def container_of(self, service: str) -> str:
        """Return the container of any service that runs now, ``""`` without one."""

    def with_ports(self, ports: Iterable[int]) -> None:
        """Publish more ports from the next start on."""

    def migrate(self, storage: str, migrations: Sequence[Migration]) -> list[tuple[Migration, str]]:
        """Run the one-time commands on volumes; return those that failed, with what they said."""


def build_words(place: Place, file: Path, tag: str, context: Path, target: str) -> list[str]:
    """Return the command that builds one image."""
    engine = place.engine
    words = [engine.builder, "build"]
    if engine.builder == "docker":
        words += ["--progress", "plain"]
    else:
        words += ["--format", "docker"]  # the OCI format has no HEALTHCHECK
    words += [*place.run.label_options, "--tag", tag, "--file", str(file)]
    if place.wishes.build_network:
        words += ["--network", place.wishes.build_network]
    for argument in place.wishes.build_arguments:
        words += ["--build-arg", argument]
    if target:
        words += ["--target", target]
    return [*words, str(context)]


def excerpt_of_build(text: str) -> str:
    """Return the lines of a failed build that tell why."""
    return last_lines(text, 25)
