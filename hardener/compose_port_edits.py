"""The edits that move the container side of the ports that Compose services publish, and what speaks against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hardener import compose, compose_service, own_addresses
from hardener.compose_ports import stated
from hardener.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.project import Project
    from hardener.stages import StageFacts

# An offset that means: this entry is not understood.
UNCLEAR = -1


def sharing_network(project: Project, facts: StageFacts, port: int) -> Iterator[str]:
    """Yield ``path:line`` of the services in the network of one of the image's that name its port: they call localhost.

    https://docs.docker.com/reference/compose-file/services/#network_mode
    """
    own = tuple(compose.services_of(project, facts.stage))
    names = {f"service:{one.name}" for one in own}
    names |= {f"container:{one.values['container_name']}" for one in own if one.values.get("container_name")}
    for other in compose.all_services(project) if own else ():
        if other.values.get("network_mode") in names and speaks_of_port(str(other.values), port):
            yield f"{other.file}:{other.line}"


def container_port_edits(
    project: Project, facts: StageFacts, old: int, new: int, *, only_ipv4: bool = False
) -> tuple[list[Edit], str | None]:
    """Return the edits that move the container's port in the Compose services of a stage.

    That is the container side of ``ports``, health checks (``only_ipv4``: see `hardener.own_addresses`), and what
    `hardener.compose_service` reads; the published side never changes.  The second value names the first place
    that is not understood.
    """
    edits: list[Edit] = []
    beside = next(sharing_network(project, facts, old), None)
    if beside is not None:
        return [], beside
    for service in compose.services_of(project, facts.stage):
        if not service.certain and (old in stated(service) or speaks_of_port(str(service.values), old)):
            return [], f"{service.file}:{service.line}"
        if not service.certain:
            continue
        content = project.read(service.file) or b""
        text = content.decode("utf-8")
        own, unclear = compose_service.own_edits(compose_service.Ask(project, facts, service, text, old, new))
        if unclear is not None:
            return [], unclear
        edits += own
        checks = healthcheck_edits(service, text, (old, new), only_ipv4=only_ipv4)
        if checks is None:
            return [], f"{service.file}:{service.line}"
        edits += checks
        for key in ("ports", "expose"):
            node = compose.entry(service.node, key)
            if node is None:
                continue
            if node.id != "sequence" or node.start_mark.index < service.node.start_mark.index:
                return [], f"{service.file}:{node.start_mark.line + 1}"
            for item in node.value:
                where = f"{service.file}:{item.start_mark.line + 1}"
                scalar = item
                if item.id == "mapping":
                    scalar = compose.entry(item, "target")
                if scalar is None or scalar.id != "scalar":
                    return [], where
                position = container_port_position(text, scalar, old)
                if position == UNCLEAR:
                    return [], where
                if position is not None:
                    start = len(text[:position].encode())
                    edits.append(Edit(service.file, start, start + len(str(old)), str(new).encode()))
    return edits, None


def same_name_by_image(project: Project, old: int) -> str | None:
    """Return where a service of the same name publishes the port of an image that may be this one, from a registry.

    ``image: somebody/web`` in the file for production is mostly what ``build: .`` makes; ``image: nginx`` is not.
    """
    own = compose.services(project)
    names = {service.name for service in own}
    folders = {service.file.parent for service in own}
    for service in compose.all_services(project):
        if not any(service.file.is_relative_to(one) or one.is_relative_to(service.file.parent) for one in folders):
            continue  # another project of a collection
        image = str(service.values.get("image") or "")
        if service in own or service.name not in names or service.dockerfile is not None or "/" not in image:
            continue
        if speaks_of_port(str(service.values.get("ports") or ""), old):
            return f"{service.file}:{service.line}"
    return None


def healthcheck_edits(service: Service, text: str, ports: tuple[int, int], *, only_ipv4: bool) -> list[Edit] | None:
    """Return the edits of a service's own health check, ``None`` where it is not understood."""
    test = compose.entry(compose.entry(service.node, "healthcheck"), "test")
    if test is None:
        return None if speaks_of_port(str(service.values.get("healthcheck") or ""), ports[0]) else []
    edits: list[Edit] = []
    for scalar in test.value if test.id == "sequence" else [test]:
        start, stop = scalar.start_mark.index, scalar.end_mark.index
        if scalar.id != "scalar" or start < service.node.start_mark.index:
            return None
        raw = text[start:stop].encode()
        found = own_addresses.calls(raw, *ports, only_ipv4=only_ipv4)
        if found is None:
            return None
        begin = len(text[:start].encode())
        edits += [Edit(service.file, begin + span.start, begin + span.stop, new) for span, new in found]
    return edits


def container_port_position(text: str, scalar: Any, old: int) -> int | None:
    """Return the character offset of the container port in one scalar.

    ``None``: another port.  ``UNCLEAR``: a variable or a range.
    """
    value = str(scalar.value)
    match = re.fullmatch(r"(?P<published>.*:)?(?P<port>[^:/]+)(?:/(?:tcp|udp))?", value)
    if match is None or not match["port"].isdecimal():
        return UNCLEAR if match is None or "$" in match["port"] or "-" in match["port"] else None
    if int(match["port"]) != old:
        return None
    raw = text[scalar.start_mark.index : scalar.end_mark.index]
    offset = raw.find(value)
    if offset < 0:
        return UNCLEAR
    return int(scalar.start_mark.index) + offset + match.start("port")


def speaks_of_port(text: str, port: int) -> bool:
    """Whether a command or a health check names the port, or calls its own container without one."""
    if re.search(rf"(?<![\w.]){port}(?![\w.])", text):
        return True
    return port in (80, 443) and re.search(r"(?:localhost|127\.0\.0\.1)(?!:\d)", text) is not None
