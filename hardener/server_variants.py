"""Building FROM the maintained unprivileged image of a server, in place of preparing the official one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Edit, Finding
from hardener.lines import insertion
from hardener.placement import placement

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.server_configured import Configuration
    from hardener.server_needs import Needs
    from hardener.stages import StageFacts


class Preparation(NamedTuple):
    """What a stage's server needs, and the ``uid:gid`` that shall have it."""

    found: Configuration
    needed: Needs
    owner: str


def swapped(project: Project, facts: StageFacts, image: str, wanted: Preparation) -> Finding:
    """Return the finding that builds FROM ``image``; the stage's own steps stay root's, since that image is not."""
    instruction = facts.stage.instructions[0]
    span = instruction.words[0].span
    path = project.dockerfile_path
    edits = [*wanted.found.edits(), Edit(path, span.start, span.stop, image.encode())]
    needed = wanted.needed
    extra = [one for one in dict.fromkeys((*needed.own, *needed.make)) if one not in wanted.found.server.own]
    if extra or any(one.instruction.keyword in ("RUN", "WORKDIR") for one in facts.own_steps):
        edits.append(insertion(project, instruction.span.stop, ["USER root"]))
    if extra:
        names = " ".join(map(shlex.quote, extra))
        make = f"mkdir -p {' '.join(map(shlex.quote, needed.make))} && " if needed.make else ""
        edits.append(insertion(project, placement(project, facts).offset, [f"RUN {make}chown {wanted.owner} {names}"]))
    return Finding("prepare_server", path, instruction.line, f"{image} is the same server without root", tuple(edits))
