"""The services of a Compose file: built and started together, on networks and volumes of their own."""

from __future__ import annotations

import json
import posixpath
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener.verify import compose_file
from hardener.verify.engine import EngineFailed, call, last_lines, stream
from hardener.verify.folders import changed_files, copy_into, make_volume
from hardener.verify.images import inspected
from hardener.verify.runner import BuildFailed, Options, Started, excerpt_of_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hardener.migration import Migration
    from hardener.verify.observation import Image
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Place


UPGRADE = "upgrade"


@dataclass
class ComposeRunner:
    """One side of a Compose project: ``config`` is its file as Compose resolved it in the copy."""

    place: Place
    config: dict[str, Any]
    images: dict[str, Image] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    isolated: compose_file.Isolated | None = None
    """What is started now."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that the project builds and that start by default."""
        return compose_file.built_services(self.config)

    @property
    def has_volumes(self) -> bool:
        """Whether a service has a volume or a folder."""
        mounts = any(one.get("volumes") for one in (self.config.get("services") or {}).values())
        return bool(self.config.get("volumes")) or mounts or any(one.volumes for one in self.images.values())

    def is_served(self, service: str) -> bool:
        """Whether the file or the service's image names a port."""
        stated = (self.config.get("services") or {}).get(service, {})
        return bool(stated.get("ports") or stated.get("expose") or self.ports_of(service))

    def volume_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths of a service's container that are volumes, not folders of the host."""
        mounts = (self.config.get("services") or {}).get(service, {}).get("volumes") or ()
        named = [str(one["target"]) for one in mounts if one.get("type") == "volume" and not one.get("read_only")]
        own = self.images[service].volumes if service in self.images else ()
        return tuple(dict.fromkeys((*named, *own)))

    def data_paths(self, service: str) -> tuple[str, ...]:
        """Return the paths of a service's container that are volumes or writable folders of the host."""
        mounts = (self.config.get("services") or {}).get(service, {}).get("volumes") or ()
        folders = [one for one in mounts if one.get("type") == "bind" and not one.get("read_only")]
        own = [str(one["target"]) for one in folders if not str(one.get("source") or "").endswith(compose_file.SOCKETS)]
        return tuple(dict.fromkeys((*self.volume_paths(service), *own)))

    def build(self) -> dict[str, Image]:
        """Build the services' images; raises ``BuildFailed``."""
        said = stream(
            [*self.compose("build", Options()), "build"], self.place.wishes.build_seconds, self.place.show,
            {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
        )  # fmt: skip
        if said.code:
            raise BuildFailed(excerpt_of_build(said.all))
        for name in self.services:
            self.images[name] = inspected(json.loads(self.place.engine.do("image", "inspect", self.tag(name))))
        return dict(self.images)

    def tag(self, service: str) -> str:
        """Return the tag of a service's image."""
        return self.place.tag(service.lower())

    def project(self, storage: str) -> str:
        """Return the name of the Compose project that keeps the volumes of that name."""
        return f"hardener-verify-{self.place.run.id}-{storage}"

    def compose(self, storage: str, options: Options) -> list[str]:
        """Write the Compose file of a scenario and return the beginning of its commands."""
        to = compose_file.Isolation(
            labels=self.place.run.labels,
            prefix=self.project(storage),
            tags={name: self.tag(name) for name in self.services},
            root=self.place.root,
            outside=self.place.run.folder / "outside" / storage,
            address=self.place.wishes.publish_address,
            sysctl=self.place.sysctl,
            build_network=self.place.wishes.build_network,
            build_arguments=self.place.wishes.build_arguments,
            ports={name: self.ports_of(name) for name in self.services},
            volumes={name: one.volumes for name, one in self.images.items()},
            locked=options.locked,
            user=options.user,
            drops=options.drops,
            is_remote=self.place.engine.is_remote,
        )
        self.isolated = compose_file.isolated(self.config, to)
        self.notes = self.isolated.notes
        file = self.place.run.folder / f"compose-{self.place.side}-{storage}.json"  # JSON is YAML
        file.write_text(json.dumps(self.isolated.document))
        return [
            self.place.engine.kind, "compose", "--project-name", self.project(storage), "--project-directory",
            str(self.place.root), "--file", str(file),
        ]  # fmt: skip

    def ports_of(self, service: str) -> tuple[int, ...]:
        """Return the ports of a service's container that are asked, besides those that the file states."""
        image = self.images.get(service)
        named = (*(image.ports if image else ()), *self.place.ports)
        return tuple(dict.fromkeys(named))

    def start(self, storage: str, options: Options) -> dict[str, Started]:
        """Start all services; those that do not start have the engine's message."""
        words = self.compose(storage, options)
        self.current = words
        self.fill()
        self.copy_files()
        limit = self.place.wishes.start_seconds + 60
        said = stream([*words, "up", "--detach", "--no-build", "--quiet-pull"], limit, None)
        found = {}
        for name in self.services:
            out = self.place.engine.ask(*words[1:], "ps", "--all", "--quiet", name).out.split()
            found[name] = Started(out[0]) if out else Started("", last_lines(said.all, 6) or "it was not started")
        if said.code:  # a container that was made and could not be started is not one that ended
            for name, one in found.items():
                if one.container and self.never_ran(one.container):
                    found[name] = Started("", last_lines(said.all, 6))
        return found

    def never_ran(self, container: str) -> bool:
        """Whether a container was only made."""
        return self.place.engine.ask("inspect", "--format", "{{.State.Status}}", container).out.strip() == "created"

    def restart(self, started: dict[str, Started]) -> None:  # noqa: ARG002
        """Stop and start the same containers."""
        self.place.engine.ask(*self.current[1:], "restart", "--timeout", "3")

    def stop(self) -> None:
        """Remove containers and networks; volumes stay."""
        if self.current:
            self.place.engine.ask(*self.current[1:], "down", "--timeout", "3", "--remove-orphans", seconds=120)
            self.current = []

    def drop(self, storage: str) -> None:
        """Remove the volumes."""
        words = self.compose(storage, Options())
        self.place.engine.ask(*words[1:], "down", "--volumes", "--timeout", "3", seconds=120)
        for name in self.isolated.folders if self.isolated is not None else ():
            self.place.engine.ask("volume", "rm", "--force", name)

    def fill(self) -> None:
        """Make the volumes that stand for folders of the host, with what lies in those; those that are there stay."""
        helper = self.tag(self.services[0])
        for name, folder in self.isolated.folders.items() if self.isolated is not None else ():
            if self.place.engine.ask("volume", "inspect", name).code:
                make_volume(self.place, name)
                if folder is not None:
                    copy_into(self.place, helper, name, [(folder, "")])

    def renew(self, before: Path) -> None:
        """Copy what the hardening changed in the folders of the host into the volumes that ``before`` filled."""
        self.compose(UPGRADE, Options())
        for name, folder in self.isolated.folders.items() if self.isolated is not None else ():
            if folder is not None:
                other = before / folder.relative_to(self.place.root)
                changed = [(one, one.relative_to(folder).as_posix()) for one in changed_files(other, folder)]
                copy_into(self.place, self.tag(self.services[0]), name, changed)

    def copy_files(self) -> None:
        """Copy single files into the containers of an engine that cannot see them, before those start."""
        files = self.isolated.files if self.isolated is not None else []
        if files:
            stream([*self.current, "create", "--no-build", "--quiet-pull"], self.place.wishes.start_seconds, None)
        for service, file, path in files:
            container = self.container_of(service)
            if container:
                self.place.engine.ask("cp", "--archive", str(file), f"{container}:{path}")

    def places(self, probe: Probe) -> list[tuple[str, int]]:
        """Return the service and port that a probe means: by the published port, or by service and own port."""
        new = self.place.settings.new_port(probe.port) if probe.port < 1024 else probe.port
        published = compose_file.published(self.config)
        if not probe.service and probe.port in published:
            return [published[probe.port]]
        names = (probe.service,) if probe.service else self.services
        return [(name, port) for name in names for port in dict.fromkeys((probe.port, new, *self.ports_of(name)))]

    def container_of(self, service: str) -> str:
        """Return the container of a service, also of one that is not the project's own."""
        found = self.place.engine.ask(*self.current[1:], "ps", "--all", "--quiet", service).out.split()
        return found[0] if found else ""

    def automatic(self) -> list[tuple[str, int, int]]:
        """Return the published ports of the services that the project builds, and of what stands before them."""
        return [(name, port, target) for port, (name, target) in compose_file.published(self.config).items()]

    def with_ports(self, ports: Iterable[int]) -> None:
        """Publish more ports from the next start on."""
        self.place = replace(self.place, ports=tuple(dict.fromkeys((*self.place.ports, *ports))))

    def migrate(self, storage: str, migrations: Sequence[Migration]) -> list[tuple[Migration, str]]:
        """Run the printed commands on the project's volumes; return what failed."""
        failed = []
        words = self.compose(storage, Options())
        for one in migrations:
            command = self.command_of(one, words, storage)
            if command is None:
                continue
            try:
                self.place.engine.do(*command[1:], seconds=120)
            except EngineFailed as error:
                failed.append((one, str(error)))
        return failed

    def command_of(self, one: Migration, words: list[str], storage: str) -> list[str] | None:
        """Return what a one-time command is here, ``None`` where it has nothing to do with Compose."""
        given = shlex.split(one.command)
        if one.kind == "bind":  # `sudo chown -R 5000:5000 ./data`: a volume stands for the folder; root of a container
            volume = compose_file.folder_volume(self.project(storage), Path(posixpath.normpath(given[-1])))
            if self.isolated is None or volume not in self.isolated.folders:
                return None  # it lies outside the project, and is empty here
            helper = next(iter(self.services))
            mount = f"{volume}:/hardener"
            run = ["run", "--rm", *self.place.run.label_options, "--network", "none", "--user", "0"]
            return [self.place.engine.kind, *run, "--volume", mount, "--entrypoint", "chown", self.tag(helper),
                    "-R", given[-2], "/hardener"]  # fmt: skip
        if one.kind == "compose" and given[:2] == ["docker", "compose"]:
            return [*words, *given[given.index("run") :]]
        if one.kind == "compose":  # an image without a shell: a helper's chown on the volume by its name
            volume = f"{self.project(storage)}_{one.source}:{one.path}"
            mounted = given.index("-v") + 1
            return [self.place.engine.kind, "run", *self.place.run.label_options, "--network", "none",
                    *given[2:mounted], volume, *given[mounted + 1 :]]  # fmt: skip
        return None


def resolved(engine_kind: str, folder: Path, files: Sequence[str]) -> dict[str, Any]:
    """Return a Compose project as Compose resolves it; raises ``EngineFailed``."""
    words = [engine_kind, "compose", "--project-directory", str(folder)]
    for file in files:
        words += ["--file", str(folder / file)]
    said = stream_quiet([*words, "config", "--format", "json"])
    document: dict[str, Any] = json.loads(said)
    return document


def stream_quiet(words: list[str]) -> str:
    """Return a command's standard output; raises ``EngineFailed``."""
    said = call(words, 60)
    if said.code:
        raise EngineFailed(last_lines(said.err, 1))  # what stands before it are warnings
    return said.out
