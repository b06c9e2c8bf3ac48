"""The ports of an official server image: what its configuration, the image's own or the project's, listens on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, server_configuration
from hardener.lazy_pattern import lazy_pattern
from hardener.lines import insertion, line_start
from hardener.pragmas import is_ignored
from hardener.stages import START

if TYPE_CHECKING:
    from hardener.dockerfile import Instruction
    from hardener.edit import Edit
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts

# Proxies that take the port from what the image exposes, where nothing names one: the base image's 80 stays there.
GUESSING_PROXIES = lazy_pattern(r"VIRTUAL_HOST|traefik\.|caddy[._]|^caddy$")
NAMES_A_PORT = lazy_pattern(r"VIRTUAL_PORT|loadbalancer\.server\.port|upstreams\s+\d|traefik\.port")


class Served(NamedTuple):
    """The ports of the own server of a base image.

    ``configured`` is everything it listens on, ``shipped`` what files of the image decide: `prepare_server` moves
    that.  ``line`` is the FROM's.  ``only_ipv4`` are those of them where IPv6 is lost: nginx' entrypoint makes an
    unchanged default.conf listen on it too, one that was moved not, and a health check must not call ``localhost``.
    """

    configured: frozenset[int]
    shipped: frozenset[int]
    line: int
    only_ipv4: frozenset[int]

    def lines(self, stated: dict[int, int]) -> dict[int, int]:
        """Return port and line of the ports to move: what it listens on, not what is only stated.

        Where nothing that it listens on has to move, what is stated stays a question.
        """
        own = {port for port in self.configured if port < 1024}
        if not own:
            return stated
        return {port: stated.get(port, self.line) for port in sorted(own)}

    def obstacle(self, project: Project, port: int, new: int) -> str | None:
        """Return why a port cannot move although its place is known, ``None`` if it can."""
        if new in self.configured:
            return f"port {new}, where {port} would go, is one that its configuration listens on already"
        for file in compose.unreadable_files(project):
            return f"{file} cannot be read, and may publish port {port}"
        for service in compose.services(project):
            texts = [str(service.values.get(key) or "") for key in ("labels", "environment")]
            deploy = service.values.get("deploy")
            texts.append(str(deploy.get("labels") or "") if isinstance(deploy, dict) else "")
            text = " ".join(texts)
            if GUESSING_PROXIES.search(text) and not NAMES_A_PORT.search(text):
                return f"{service.file}:{service.line}: a proxy finds port {port} by what the image exposes"
        return None


def served(project: Project, facts: StageFacts) -> Served | None:
    """Return the ports of the own server of a stage's base image, ``None`` where that is not what runs."""
    found = server_configuration.understood(project, facts)
    if found is None:
        return None
    ipv4 = found.shipped_ports if found.server.reader == "nginx" else frozenset[int]()
    return Served(found.ports, found.shipped_ports, facts.stage.instructions[0].line, ipv4)


def expose(project: Project, facts: StageFacts, port: int) -> Edit:
    """Return the edit that states a port that the base image's own EXPOSE does not."""
    starts: list[Instruction] = []
    for step in reversed(facts.own_steps):
        if step.instruction.keyword not in START:
            break
        starts.append(step.instruction)
    last = facts.own_steps[-1].instruction if facts.own_steps else facts.stage.instructions[0]
    offset = line_start(project.dockerfile, starts[-1]) if starts else last.span.stop
    return insertion(project, offset, [f"EXPOSE {port}"])


def publishing(project: Project, facts: StageFacts, settings: Settings) -> str:
    """Return what to tell who starts the image: its port is another one, and nothing in the project publishes it."""
    found = served(project, facts)
    moving = sorted(port for port in found.configured if port < 1024) if found is not None else []
    published = any(one.values.get("ports") for one in compose.services_of(project, facts.stage))
    if found is None or not moving or published or not settings.runs("move_port"):
        return ""
    if is_ignored(project.dockerfile, found.line, "move_port"):
        return ""
    options = " ".join(f"-p {port}:{settings.new_port(port)}" for port in moving)
    return f"whoever starts it has to publish the new port: docker run {options}"
