"""Start as root only to give the data to the account, on request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hardener.accounts import family_of
from hardener.edit import Edit, Finding
from hardener.lines import insertion, line_start
from hardener.placement import FILE_STEPS, switched_stages
from hardener.root_entrypoint import PATH, base_entrypoint, knowledge, script
from hardener.stages import START, is_root, stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def keep_root_entrypoint(project: Project, settings: Settings) -> Iterator[Finding]:
    """With `--keep-root-entrypoint`: start as root, give the volumes to the account, and go on as that account.

    Why: a volume that the old image wrote belongs to root, and the new user cannot write it until somebody has run
    the one-time command; this entrypoint does it at every start, where the owner differs.
    Safety: only for stages with a volume, where the tool that drops root is known to be there; the application is
    process 1 and gets the signals; its arguments stay as they were.
    References: https://docs.docker.com/build/building/best-practices/#entrypoint, redis/docker-library-redis
    """
    for decided, verdict in switched_stages(project, settings):
        if not verdict.kept:
            continue
        facts = stage_facts(project.dockerfile, decided.stage.index)
        yield Finding(
            "keep_root_entrypoint",
            project.dockerfile_path,
            facts.stage.instructions[0].line,
            f"data written before in {', '.join(verdict.kept)} belong to root, and every start may find some",
            tuple(edits(project, facts, writing(project, facts, script(facts, verdict)))),
        )


def edits(project: Project, facts: StageFacts, lines: list[str]) -> Iterator[Edit]:
    """Yield the edits: the script and ``USER root`` before the start command, the script in front of it."""
    if not is_root(facts.user or ""):
        lines = ["USER root", *lines]
    if facts.entrypoint is None:
        words = [PATH, *(base_entrypoint(facts) or ())]
        yield insertion(project, before_start(project, facts), [*lines, f"ENTRYPOINT {json.dumps(words)}"])
        return
    yield insertion(project, before_start(project, facts), lines)
    opening = project.dockerfile.data.index(b"[", facts.entrypoint.instruction.arguments.start) + 1
    yield Edit(project.dockerfile_path, opening, opening, json.dumps(PATH).encode() + b", ")


def before_start(project: Project, facts: StageFacts) -> int:
    """Return the offset of the stage's first start instruction after the last one that makes files, else its end."""
    own = facts.own_steps
    last = max((i for i, step in enumerate(own) if step.instruction.keyword in FILE_STEPS), default=-1)
    for step in own[last + 1 :]:
        if step.instruction.keyword in START:
            return line_start(project.dockerfile, step.instruction)
    return own[-1].instruction.span.stop


def writing(project: Project, facts: StageFacts, lines: list[str]) -> list[str]:
    """Return the RUN that writes the script: no file beside the Dockerfile, no mode or line end to go wrong."""
    install = knowledge()["family"][family_of(facts)]["install"]
    quoted = ["'" + line.replace("'", "'\\''") + "'" for line in lines]
    commands = [install] if install else []
    commands += [f" {project.dockerfile.escape}\n    ".join([r"printf '%s\n'", *quoted]) + f" > {PATH}"]
    commands += [f"chmod 0755 {PATH}"]
    return ("RUN " + f" && {project.dockerfile.escape}\n    ".join(commands)).split("\n")
