"""The edits that move one port: in the image's own files, and in those that start the image or call it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import (
    compose_callers,
    compose_port_edits,
    image_runs,
    kubernetes_ports,
    own_addresses,
    references,
    run_lines,
    server_ports,
    start_files,
)
from hardener.edit import Edit
from hardener.listening import PORT, decides
from hardener.port_facts import WAY_OUT, Stuck, Uses
from hardener.server_arguments import port_tokens, server_commands, start_of

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.stages import StageFacts, Step


def inside_edits(project: Project, facts: StageFacts, uses: Uses, new: int) -> list[Edit] | Stuck:
    """Return the edits in the image's own files: what decides and states the port, health checks, start files."""
    port, line, served = uses.port, uses.line, uses.served
    text = str(new).encode()
    way_out = WAY_OUT.format(new)
    edits = [Edit(one.path, one.start, one.stop, one.text.replace(PORT.encode(), text) or text) for one in uses.decided]
    edits += [
        Edit(project.dockerfile_path, one.span.start, one.span.stop, text)
        for one in uses.stated
        if one.span is not None
    ]
    if served is not None and not uses.stated:
        edits.append(server_ports.expose(project, facts, new))
    ipv4 = served is not None and port in served.only_ipv4
    for step in facts.steps:
        if step.instruction.keyword == "HEALTHCHECK":
            own = own_calls(project, step, port, new, only_ipv4=ipv4)
            if own is None:
                reason = f"its HEALTHCHECK names {port} in a way that is not understood"
                return Stuck(step.instruction.line, reason, way_out)
            edits += own
    for script, data in start_files.health_scripts(project, facts):
        calls = own_addresses.health_calls(script, data, port, new, only_ipv4=ipv4)
        if calls is None:
            return Stuck(line, f"its health check {script} names {port} in a way that is not understood", way_out)
        edits += [Edit(script, span.start, span.stop, text) for span, text in calls]
    in_script = start_files.unexplained(project, facts, port, [(one.path, one.start) for one in edits])
    if in_script is not None:
        return Stuck(line, f"{in_script} names port {port} too, in a way that is not understood", way_out)
    mentioned = unexplained(project, facts, port, edits)
    if mentioned is not None:
        return Stuck(mentioned, f"port {port} is named here too, in a way that is not understood", way_out)
    return edits


def outside_edits(project: Project, facts: StageFacts, uses: Uses, new: int, inside: list[Edit]) -> list[Edit] | Stuck:
    """Return the edits in the files that start the image or call it; ``inside`` are those of its own files."""
    port, line = uses.port, uses.line
    ipv4 = uses.served is not None and port in uses.served.only_ipv4
    edits, where = compose_port_edits.container_port_edits(project, facts, port, new, only_ipv4=ipv4)
    if where is not None:
        return Stuck(line, f"{where} names port {port} in a way that is not understood", WAY_OUT.format(new))
    found = (
        *compose_callers.calls(project, facts.stage, port, new),
        *compose_callers.host_settings(project, facts.stage, port, new),
        *kubernetes_ports.uses(project, port, new, lambda name: decides(project, facts, name)),
        *run_lines.uses(project, port, new),
        *run_lines.network_calls(project, port),
    )
    edits += [one.edit for one in found if one.edit is not None]
    left = [f"{one.path}:{one.line}" for one in found if one.edit is None]
    moved = {(edit.path, line_of(project, edit)) for edit in (*inside, *edits)}
    explained = kubernetes_ports.explained(project)
    others = ((path, at) for path, at in references.outside_uses(project, port) if path not in explained)
    left += [f"{path}:{at}" for path, at in others if (path, at) not in moved]
    for where in image_runs.all_reached(project, facts, port):
        file, _, at_line = where.rpartition(":")
        if (PurePosixPath(file), int(at_line)) not in moved and PurePosixPath(file) not in explained:
            left.append(where)
    if left:
        reach = "reach" if len(set(left)) > 1 else "reaches"
        reason = f"{', '.join(dict.fromkeys(left))} {reach} it on port {port}"
        return Stuck(line, reason, "move that together with the image, by hand")
    return edits


def line_of(project: Project, edit: Edit) -> int:
    """Return the 1-based line of an edit."""
    return (project.read(edit.path) or b"").count(b"\n", 0, edit.start) + 1


def own_calls(project: Project, step: Step, port: int, new: int, *, only_ipv4: bool) -> list[Edit] | None:
    """Return the edits of a HEALTHCHECK's calls to its own container; ``None`` where a use is not understood."""
    begin, stop = step.instruction.arguments
    found = own_addresses.calls(project.dockerfile.data[begin:stop], port, new, only_ipv4=only_ipv4)
    if found is None:
        return None
    return [Edit(project.dockerfile_path, begin + span.start, begin + span.stop, text) for span, text in found]


def unexplained(project: Project, facts: StageFacts, port: int, edits: list[Edit]) -> int | None:
    """Return the line of a start command that names the port outside every edit, ``None`` if there is none.

    The words of a server whose port was found do not count: there it is a timeout or a number of workers.
    """
    known = [
        word.span
        for server, words in server_commands(facts)
        if any(found == port for _, found in port_tokens(server, words))
        for word in words[start_of(server, words) or 0 :]  # what comes before it (`./wait 80 gunicorn`) does count
    ]
    for one in facts.steps:
        if one.instruction.keyword == "ENV" and set_elsewhere(one, port, edits):
            return one.instruction.line
    for step in (facts.entrypoint, facts.command):
        if step is None:
            continue
        begin, stop = step.instruction.arguments
        for match in re.finditer(rb"(?<![\w.])%d(?![\w.])" % port, project.dockerfile.data[begin:stop]):
            place = begin + match.start()
            if any(span.start <= place < span.stop for span in known):
                continue
            if not any(edit.start == place for edit in edits if edit.path == project.dockerfile_path):
                return step.instruction.line
    return None


def set_elsewhere(step: Step, port: int, edits: list[Edit]) -> bool:
    """Whether an ENV has the port in a value that is not understood, such as ``JAVA_OPTS=-Dserver.port=80``."""
    words = step.instruction.words
    if words and "=" not in words[0].text:  # the legacy form, `ENV name the rest`
        pairs = [(words[0].text, step.instruction.value, step.instruction.span)]
    else:
        pairs = [(*word.text.partition("=")[::2], word.span) for word in words]
    for name, value, span in pairs:
        moved = any(span.start <= edit.start < span.stop for edit in edits)
        if not moved and own_addresses.may_set(name, value.strip("\"'"), port):
            return True
    return False
