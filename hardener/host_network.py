"""Compose services on the host's network, where Docker does not open the ports below 1024 to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import compose, listening
from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Reason
from hardener.port_facts import exposed

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.stages import StageFacts

# A number below 1024 for something that is called a port, an address or a listener.
LOW_PORT = lazy_pattern(
    r"(?i)(?:port|bind|addr|listen|url)\w*[\"']?\s*[=:,\s]\s*[\"']?(?:[\w.\[\]/*+]*:)?\d{1,3}(?!\d|\.\d)"
)
JAVA = lazy_pattern(r"(?:^|[\s\"'/])java[\"']?[\s,].*-jar\b")
WAY_OUT = "let it listen above 1024 and EXPOSE that port, then add USER by hand"


def root_need(project: Project, facts: StageFacts) -> Reason | None:
    """Return why a service on the host's network may need root, ``None`` without one or where all ports are high.

    A port that moves would be another one for its callers there: nothing is published.
    https://docs.docker.com/engine/network/drivers/host/
    """
    for service in compose.services_of(project, facts.stage):
        values = service.values
        if "host" not in (values.get("network_mode"), values.get("net")):
            continue
        where = f"{service.file}:{service.line}: service {service.name} shares the host's network"
        line = facts.stage.instructions[0].line
        asked = f"{values.get('environment')} {values.get('command')} {values.get('entrypoint')}"
        if is_low(project, facts) or LOW_PORT.search(asked):
            return Reason(line, f"{where}, where a port below 1024 needs root", WAY_OUT)
        if values.get("env_file") or not (listening.exposes_only_high_ports(facts) or runs_java(facts)):
            reason = f"{where}, where a port below 1024 needs root, and its ports are not known"
            return Reason(line, reason, WAY_OUT)
    return None


def is_low(project: Project, facts: StageFacts) -> bool:
    """Whether a stage listens below 1024 as far as its files tell, or is built on a server."""
    serves = facts.image is not None and facts.image.outcome == "server"
    return serves or bool(listening.deciding(project, facts)) or any(exposed(facts))


def runs_java(facts: StageFacts) -> bool:
    """Whether an archive is what starts: its frameworks listen on 8080 or higher, unless they are told."""
    return any(step is not None and JAVA.search(step.instruction.value) for step in (facts.entrypoint, facts.command))
