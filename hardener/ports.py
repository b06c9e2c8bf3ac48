"""A port below 1024 in one Dockerfile: where it is stated, what decides it, and whether both can move together.

Nothing moves unless the place that binds the port was found and moves with it: an image whose ``EXPOSE`` says
8080 and whose server still listens on 80 is broken (measured on real applications, docs: "ports").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener import compose_ports, image_runs, program_sources, server_ports
from hardener.listening import deciding, is_unbound
from hardener.port_facts import WAY_OUT, Move, Stuck, Uses, all_exposed, exposed, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def stuck(project: Project, facts: StageFacts, settings: Settings) -> Stuck | None:
    """Return why the first privileged port of a stage cannot move, and every place of it; ``None`` if all can."""
    for _, result in moves(project, facts, settings):
        if isinstance(result, Stuck):
            from hardener import port_places  # noqa: PLC0415  only where a person has to find them

            found = port_places.places(project, facts, result.uses) if result.uses is not None else []
            known = f"{result.reason} {project.dockerfile_path}:{result.line}"
            named = port_places.listed(one for one in found if not re.search(rf"{re.escape(one)}(?!\d)", known))
            return result._replace(reason=f"{result.reason}; it is named in {named}" if named else result.reason)
    return None


def moves(project: Project, facts: StageFacts, settings: Settings) -> Iterator[tuple[int, Move | Stuck]]:
    """Yield every privileged port that a stage states or binds, with its move or why there is none.

    Nothing where ports stay as they are (``--ports=keep``, ``--ports=capability``).
    """
    if settings.port_policy != "move":
        return
    stated = tuple(exposed(facts))
    decided = deciding(project, facts)
    lines = {one.port: one.step.instruction.line for one in reversed(stated)}
    for port, _, line in decided:
        lines.setdefault(port, line)
    served = server_ports.served(project, facts)
    where = dict(reversed((*compose_ports.published(project, facts.stage), *image_runs.stated_ports(project, facts))))
    for port in where if facts.steps else ():
        lines.setdefault(port, (facts.command or facts.entrypoint or facts.steps[0]).instruction.line)
    if served is not None:
        lines = served.lines(lines)
    decided_ports = {port for port, _, _ in decided}
    lines = {at: line for at, line in lines.items() if at in decided_ports or not never_opened(project, facts, at)}
    taken: set[int] = set()
    for port in sorted(lines):
        own = tuple(one for one in stated if one.port == port)
        edits = tuple(edit for number, edit, _ in decided if number == port)
        uses = Uses(port, lines[port], own, edits, served, where.get(port))
        result = move(project, facts, settings, uses)
        if isinstance(result, Move) and result.new in taken:
            reason = f"port {result.new}, where {port} would go, is where another goes"
            result = Stuck(lines[port], reason, f"choose another with --port {port}=NEW")
        taken.add(settings.new_port(port))
        yield port, result._replace(uses=uses) if isinstance(result, Stuck) else result


def never_opened(project: Project, facts: StageFacts, port: int) -> bool:
    """Whether EXPOSE states a port that nothing opens and nobody publishes; it stays where it is."""
    if not is_unbound(project, facts, port):
        return False
    from hardener import kubernetes_ports, references, run_lines  # noqa: PLC0415  few images get as far as here

    asked = (*run_lines.uses(project, port, port), *kubernetes_ports.uses(project, port, port, lambda _: False))
    return not asked and next(references.outside_uses(project, port), None) is None


def kept(project: Project, facts: StageFacts, settings: Settings) -> dict[int, int]:
    """Return every privileged port that stays by choice, with the line that states it or starts what binds it."""
    if settings.port_policy == "move":
        return {}
    lines = {port: line for port, _, line in deciding(project, facts)}
    return lines | {one.port: one.step.instruction.line for one in exposed(facts)}


def move(project: Project, facts: StageFacts, settings: Settings, uses: Uses) -> Move | Stuck:
    """Return the move of one port with all its edits, or why it has to stay."""
    from hardener import own_sources, shared_sources  # noqa: PLC0415  most images have no such port
    from hardener.port_edits import inside_edits, outside_edits  # noqa: PLC0415

    port, line = uses.port, uses.line
    new = settings.new_port(port)
    way_out = WAY_OUT.format(new)
    served = uses.served
    obstacle = None if served is None else served.obstacle(project, port, new)
    if obstacle is not None:
        return Stuck(line, obstacle, way_out)
    if not uses.decided and (served is None or port not in served.shipped):
        stated = f"{uses.where}: " if uses.where and not uses.stated else ""
        reason = f"{stated}port {port} needs root outside Docker's own networks, and nothing here decides it"
        unclear = listed(program_sources.reading(project, facts).unclear)
        return Stuck(
            line, f"{reason}; {unclear} listens on a value that is not followed" if unclear else reason, way_out
        )
    blocking = listed(program_sources.reading(project, facts).blocking)
    if blocking:
        reason = f"port {port} needs root outside Docker's own networks, and {blocking} may decide it elsewhere"
        return Stuck(line, reason, way_out)
    in_sources = shared_sources.obstacle(project, facts, uses.decided) or own_sources.obstacle(project, facts, port)
    if in_sources is not None:
        return Stuck(line, f"port {port} needs root outside Docker's own networks, but {in_sources}", way_out)
    if any(one.span is None for one in uses.stated):
        return Stuck(line, f"EXPOSE of port {port} is a range, a variable or not TCP", way_out)
    if new in all_exposed(facts):
        return Stuck(line, f"port {new}, where {port} would go, is taken", f"choose another with --port {port}=NEW")
    inside = inside_edits(project, facts, uses, new)
    if isinstance(inside, Stuck):
        return inside
    outside = outside_edits(project, facts, uses, new, inside)
    if isinstance(outside, Stuck):
        return outside
    unique = {(one.path, one.start): one for one in (*inside, *outside)}
    return Move(port, new, line, tuple(unique.values()))
