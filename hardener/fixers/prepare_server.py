"""Give the server of an official image what it takes to run without root."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hardener.edit import Finding
from hardener.lines import insertion
from hardener.paths import absolute
from hardener.placement import placement, switched_stages
from hardener.port_facts import all_exposed
from hardener.server_configuration import understood
from hardener.servers import is_server_program, variant_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.edit import Edit
    from hardener.project import Project
    from hardener.server_variants import Preparation
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def prepare_server(project: Project, settings: Settings) -> Iterator[Finding]:
    """Give nginx and other official servers their pid file, caches and ports in places where no root is needed.

    Why: the server's master process starts as root only for a port below 1024, its pid file and directories that
    belong to root; without them it dies at once, or answers and fails at the first upload.
    Safety: one RUN over files that the base image brings, as the maintainers' own unprivileged images do it; no
    recursive chown; a configuration of the project's is edited itself, and what is not understood in it leaves the
    image alone.
    References: https://github.com/nginx/docker-nginx-unprivileged
    """
    prepared: dict[int, frozenset[str]] = {}
    made: set[Edit] = set()
    for facts, verdict in switched_stages(project, settings):
        found = understood(project, facts)
        if found is None or verdict.account is None:
            continue
        from hardener.server_needs import Needs, needs  # noqa: PLC0415  few images are servers
        from hardener.server_variants import Preparation, swapped  # noqa: PLC0415

        needed = needs(project, facts)
        if not isinstance(needed, Needs):
            continue
        wanted = Preparation(found, needed, verdict.account.written("numeric"))
        swap = variant_of(facts, settings)
        if swap is not None:
            yield swapped(project, facts, swap, wanted)
            continue
        before = frozenset().union(*(prepared.get(index, frozenset()) for index in facts.chain))
        steps = [one for one in (*server_steps(facts, wanted, settings), *directory_steps(facts, wanted)) if one]
        commands = [one for one in steps if one not in before]
        prepared[facts.stage.index] = before | set(commands)
        edits = [*found.edits()]
        if commands:
            lines = run_lines(commands, project.dockerfile.escape)
            edits.append(insertion(project, placement(project, facts).offset, lines))
        edits = [one for one in edits if one not in made]
        made.update(edits)
        if edits:
            yield Finding(
                "prepare_server",
                project.dockerfile_path,
                facts.stage.instructions[0].line,
                found.server.why or f"{found.server.kind} wants root as its image starts it",
                tuple(edits),
            )


def server_steps(facts: StageFacts, wanted: Preparation, settings: Settings) -> Iterator[str]:
    """Yield the commands that prepare the files of the image that are used as they are."""
    found = wanted.found
    uid, _, gid = wanted.owner.partition(":")
    for text in found.server.prepare:
        yield text.replace("{uid}", uid).replace("{gid}", gid)
    exposed = set(all_exposed(facts))
    for one in found.shipped:
        yield one.prepare
        served = [port for port in one.hosts if port in found.ports or settings.new_port(port) in found.own_ports]
        moved = all(settings.new_port(port) in exposed for port in (*one.ports, *served))
        if one.move and moved and (one.ports or served):  # else `move_port` is off, or nothing listens there
            text = one.move
            for port in one.ports:
                text = text.replace(f"{{{port}}}", str(settings.new_port(port)))
            yield text
    if found.server.traces and any(is_server_program(facts, command.name) for _, command in facts.run_commands):
        yield f"rm -rf {' '.join(found.server.traces)}"


def directory_steps(facts: StageFacts, wanted: Preparation) -> Iterator[str]:
    """Yield the commands that make directories and give them to the account."""
    done = given(facts, wanted.owner)
    make = [one for one in wanted.needed.make if one not in done]
    if make:
        yield "mkdir -p " + " ".join(map(shlex.quote, make))
    owned = [one for one in dict.fromkeys((*wanted.needed.own, *make)) if one not in done]
    if owned:
        yield f"chown {wanted.owner} " + " ".join(map(shlex.quote, owned))


def given(facts: StageFacts, owner: str) -> set[str]:
    """Return the paths that a ``chown`` of the Dockerfile gives to just this owner."""
    found: set[str] = set()
    for _, command in facts.run_commands:
        words = [one.text for one in command.arguments]
        if command.name == "chown" and words[:1] == [owner]:
            found |= {absolute(one, command.directory or "/") for one in words[1:] if one}
    return found


def run_lines(commands: list[str], escape: str) -> list[str]:
    """Return the lines of one RUN; more than one where it would be long."""
    line = "RUN " + " && ".join(commands)
    if len(line) <= 110:
        return [line]
    return ["RUN " + f" {escape}\n && ".join(commands)]
