"""Reasons against a switch that lie in whose program an image starts, and in what the build installs for it.

Asked by `hardener.reasons`, which has the order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hardener import compose, privileges, provenance, server_reasons, shell, unpacked
from hardener.context import flag
from hardener.outcome import Verdict, manual
from hardener.processes import knowledge

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def installs_root_package(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A package is there whose programs need root at run time."""
    for step, command in facts.run_commands:
        for name in privileges.package_names(command):
            one = packages().get(name)
            if one is not None:
                return manual(step.instruction.line, f"it installs {name}: {one['reason']}", one["way_out"])
    return None


@lru_cache(maxsize=1)
def packages() -> dict[str, dict[str, Any]]:
    """Return the package tables of ``processes.toml`` by package name."""
    return {name: one for one in knowledge()["package"] for name in one["names"]}


def brings_docker_client(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A Docker client is there for the engine's socket, which belongs to root or to a group of the host."""
    for step in facts.steps:
        source = flag(step.instruction, "from") if step.instruction.keyword in ("COPY", "ADD") else None
        if source and re.fullmatch(r"(?:.*/)?docker(?::.*)?", source):
            return manual(
                step.instruction.line, "it copies the Docker client, for the engine's socket", "keep root in that stage"
            )
    return None


def sets_up_service(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The build starts a service to set it up; whoever uses the image starts it again, as root."""
    for step, command in facts.run_commands:
        words = [one.text or "" for one in command.arguments]
        name = shell.program(command.name)
        if name == "service" and "start" in words[1:]:
            name = words[0]
        elif not (command.name.startswith("/etc/init.d/") and "start" in words[:1]):
            continue
        return manual(
            step.instruction.line,
            f"the build starts {name} to set it up, which is started again as root where the image is used",
            "start that service in an image of its own",
        )
    return None


def compose_commands(project: Project, facts: StageFacts) -> bool:
    """Whether a Compose service gives the image its start command."""
    return any(one.values.get("command") for one in compose.services_of(project, facts.stage))


def starts_foreign_program(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """It starts a service of the system's with paths of its own, or a tool for files that people mount."""
    line = (facts.entrypoint or facts.command or facts.steps[0]).instruction.line if facts.steps else 1
    if provenance.is_bare_runtime(facts) and not compose_commands(project, facts):
        return manual(
            line, "it starts an interpreter with nothing to run: a base or tool image", "add USER where it is used"
        )
    name = provenance.foreign_program(project, facts)
    if name is None:
        return None
    if provenance.serves(facts):
        return manual(
            line,
            f"{name} is a service that the project did not write, and where it writes is not known",
            "find its pid, log and data paths, give them to the new user, then add USER by hand",
        )
    if not provenance.copies_application(facts) and provenance.works_on_mounted_files(facts, name):
        return manual(
            line, f"{name} is a tool for files that people mount, which belong to them", "pass --user at run time"
        )
    return None


def starts_program_of_another_image(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The program that it starts is copied from an image of somebody else's, where it may rely on root."""
    found = provenance.program_of_another_image(project, facts)
    if found is None:
        return None
    step, name, image = found
    return manual(
        step.instruction.line,
        f"{name} comes from the image {image}, and what it writes as root there is not known",
        "find its pid, log and data paths, give them to the new user, then add USER by hand",
    )


def may_start_its_bases_server(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The base image is a server, and what is started instead is not understood to be something else."""
    image = facts.image
    if image is None or image.outcome != "server" or (facts.entrypoint is None and facts.command is None):
        return None
    if provenance.starts_something_of_its_own(project, facts):
        return None
    if server_reasons.is_prepared(project, facts, settings):
        return None  # it does start it, and `cannot_be_prepared` knows how
    return manual((facts.entrypoint or facts.command or facts.steps[0]).instruction.line, image.reason, image.way_out)


def fetches_its_application(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A build step clones or unpacks what it starts, and the directories in there belong to root."""
    elsewhere = unpacked.fetched_elsewhere(project, facts)
    if elsewhere is not None:
        return manual(
            elsewhere.step.instruction.line,
            f"the sources of {elsewhere.path}, which it starts, are cloned here: what that writes is not known",
            "find its log and data paths, give them to the new user, then add USER by hand",
        )
    found = unpacked.foreign_application(project, facts)
    if found is None:
        return None
    return manual(
        found.step.instruction.line,
        f"the build fetches what it starts into {found.path} as root, and what that writes there is not known",
        "chown -R it to the new user in that step, or only what it writes, then add USER by hand",
    )
