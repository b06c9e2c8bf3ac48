"""Reasons against a switch that lie in the base image and in what kind of image it is.

Asked by `hardener.reasons`, which has the order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import compose, provenance, server_reasons, servers
from hardener.accounts import family_of
from hardener.context import copy_arguments, destination, flag
from hardener.image import ImageReference
from hardener.outcome import Outcome, Verdict, manual
from hardener.processes import knowledge
from hardener.repository_files import files
from hardener.stages import RUNNING, is_root, posix_shell
from hardener.variables import assignments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def is_windows(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Windows containers have no numeric users."""
    platform = facts.stage.platform or ""
    if (
        (facts.image and facts.image.family == "windows")
        or "windows" in platform
        or (facts.image is None and project.dockerfile.escape == "`")
    ):
        return manual(1, "a Windows image has no numeric users", "use USER ContainerUser by hand")
    return None


def has_unknown_base(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What a switch would break cannot be told from the text alone."""
    line = project.dockerfile.stages[facts.chain[0]].instructions[0].line
    if facts.image is not None:
        return None
    if facts.reference is None:
        return manual(line, "its base image is a variable without a value here", "give the ARG a default")
    if not family_of(facts):
        return manual(
            line,
            f"nothing is known of its base image {facts.reference}{inspection_failure(facts.reference, settings)}",
            f"add USER in that image, or {configuration_line(facts.reference)}",
        )
    if facts.entrypoint is None and facts.command is None:
        return manual(
            line,
            f"its start command comes from {facts.reference}, which is not known",
            "add USER in that image",
        )
    return None


def has_unknown_entrypoint(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A CMD alone is handed to the ENTRYPOINT of the base image: an init or a script that may want root."""
    if facts.image is not None or facts.entrypoint is not None:
        return None
    return manual(
        project.dockerfile.stages[facts.chain[0]].instructions[0].line,
        f"its CMD is handed to the ENTRYPOINT of {facts.reference}, which is not known",
        "write ENTRYPOINT too (it replaces that of the base), or add USER by hand where that works as any user",
    )


def inspection_failure(reference: str, settings: Settings) -> str:
    """Return why an inspection brought nothing, as the end of a reason; nothing without ``--inspect``."""
    if not settings.inspect:
        return ""
    from hardener import inspection  # noqa: PLC0415  only with the option

    return f" ({inspection.inspect(reference).failure})"


def configuration_line(reference: str) -> str:
    """Return what to add to the configuration for an image of which nothing is known."""
    name = ImageReference.parse(reference).name
    return f"""add `images."{name}" = {{ family = "debian" }}` (or what it is) to hardener.toml"""


def has_special_base(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The base image drops root itself, or its own server wants root, and that server is what runs."""
    image = facts.image
    if image is None or image.outcome in ("plain", "already"):
        return None
    line = project.dockerfile.stages[facts.chain[0]].instructions[0].line
    if server_reasons.is_prepared(project, facts, settings):
        return None  # what it is configured to do is asked below
    replaced = image.inherited is None or not image.inherited.entrypoint
    own_start = facts.entrypoint is not None or (facts.command is not None and image.outcome == "server" and replaced)
    if image.outcome == "drops" and facts.entrypoint is None:
        return Verdict(Outcome.ALREADY, line, image.reason, user_offer(project, facts) or image.way_out)
    if image.outcome == "server" and own_start:
        return None  # what it starts instead is asked below
    return manual(line, image.reason, image.way_out)


def user_offer(project: Project, facts: StageFacts) -> str:
    """Return how an image that drops root by itself starts without it, ``""`` without a known account of its own."""
    if facts.image is None or len(facts.image.users) != 1:
        return ""
    user = facts.image.users[0]
    ids = f"{user.uid}:{user.gid}"
    named = [f" (service {one.name}, {one.file}:{one.line})" for one in compose.services_of(project, facts.stage)]
    return (
        f'leave the image as it is; where even the start must not be root, set `user: "{ids}"` in Compose'
        f"{named[0] if len(named) == 1 else ''} or runAsUser: {user.uid} in Kubernetes, once its data are"
        f" {user.name}'s: chown -R {ids} there"
    )


def has_unknown_tools(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Of a base image that is known, it may still not be known how a user is made there."""
    if facts.image is None or family_of(facts) or not is_root(facts.image.user):
        return None
    return manual(
        project.dockerfile.stages[facts.chain[0]].instructions[0].line,
        f"how a user is made in its base image {facts.reference} is not known",
        configuration_line(facts.reference or ""),
    )


def has_foreign_application(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The application lies in the base image, where its files belong to root, and nothing of it is copied here."""
    inherited = facts.image.inherited if facts.image is not None else None
    if inherited is None or not inherited.application or provenance.copies_application(facts):
        return None
    return manual(
        project.dockerfile.stages[facts.chain[0]].instructions[0].line,
        f"its application comes from {inherited.origin}, where its files are given to root",
        "COPY --chown it there, to the user that runs it",
    )


def never_starts(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """An image without a start command of its own is built to be used by others: as a base, a tool box, files."""
    if facts.entrypoint is not None or facts.command is not None:
        return None
    if facts.image is not None and facts.image.outcome == "already" and facts.image.has_cmd:
        return None  # the base image's own application, as its own user
    server = servers.server_of(facts)
    serves = server is not None and (server.only_reads or provenance.copies_application(facts))
    if facts.image is not None and facts.image.inherited is not None and facts.image.inherited.starts:
        return None  # what it starts was asked where it is built
    line = facts.stage.instructions[0].line
    if serves and server_reasons.is_prepared(project, facts, settings):
        if compose.services(project) or provenance.holds_content(facts) or (server is not None and server.is_proxy):
            return None
        return manual(
            line,
            "it is a server without anything to serve: a base image, or one that folders are mounted into",
            "add USER where it is used, and move the port there",
        )
    return manual(
        line,
        "it starts nothing of its own: a base or tool image, whose users may need root",
        "add USER where it is used",
    )


def holds_another_system(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The whole file system of another image is copied in, or an init system is process 1."""
    for step in facts.steps:
        instruction = step.instruction
        if instruction.keyword in ("COPY", "ADD") and flag(instruction, "from") is not None:
            sources, target = copy_arguments(instruction)
            if sources == ["/"] and target == "/":
                return manual(instruction.line, "it copies the whole file system of another image", "add USER by hand")
        starts_init = instruction.keyword in ("ENTRYPOINT", "CMD") and re.search(
            r"/sbin/init\b|/systemd\b", instruction.value
        )
        if starts_init or (instruction.keyword == "STOPSIGNAL" and "RTMIN" in instruction.value):
            return manual(
                instruction.line, "process 1 is an init system, which must be root", "start the one service directly"
            )
    return None


def takes_user_from_variable(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Its users choose the ids at run time, and something of it changes to them as root."""
    names = knowledge()["user_variable"]["names"]
    way_out = "give them up for `user:` in Compose (--user at run time), then add USER by hand"
    for step in facts.steps:
        if step.instruction.keyword == "ENV":
            found = [name for name in names if name in assignments(step.instruction, step.variables)]
            if found:
                return manual(step.instruction.line, f"it takes the user to change to from {found[0]}", way_out)
    for service in compose.services(project):
        environment = service.values.get("environment") or ()
        found = [name for name in names if name in {str(one).partition("=")[0] for one in environment}]
        if found:
            text = f"{service.file}:{service.line}: service {service.name} sets {found[0]}, the user to change to"
            return manual(facts.stage.instructions[0].line, text, way_out)
    return None


def is_for_platform(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """It is made for a platform that runs images as root: told by its paths, variables, labels or packages."""
    for step in facts.steps:
        instruction = step.instruction
        paths = [destination(step)] if instruction.keyword in ("COPY", "ADD") else []
        paths += [step.workdir] if instruction.keyword == "RUN" else []
        names = assignments(instruction, step.variables) if instruction.keyword == "ENV" else {}
        words: Sequence[str]
        if instruction.keyword in RUNNING:
            words = [one.text or "" for command in step.commands or () for one in command.arguments]
        else:  # to read them as shell, too, would take as long again
            words = instruction.texts[1:]
        for path, variable, package, one in platforms():
            if (
                any(place is not None and path.fullmatch(place) for place in paths)
                or any(map(variable.fullmatch, names))
                or any(map(package.fullmatch, words))
                or (instruction.keyword == "LABEL" and one["label"] in instruction.value)
            ):
                return manual(instruction.line, one["reason"], one["way_out"])
    return None


@lru_cache(maxsize=1)
def platforms() -> tuple[tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str], dict[str, str]], ...]:
    """Return the patterns of a path, a variable and a package of each platform, and its table."""
    keys = ("path", "variable", "package")
    return tuple((*(re.compile(one[key]) for key in keys), one) for one in knowledge()["platform"])


def has_triggers(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """ONBUILD steps run in images built FROM this one, as its USER."""
    for step in facts.own_steps:
        if step.instruction.keyword == "ONBUILD":
            return manual(
                step.instruction.line,
                "its ONBUILD steps run in other images, as its USER",
                "add USER in those images",
            )
    return None


def has_foreign_shell(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The RUN lines to insert are POSIX shell."""
    if any(not posix_shell(step.shell) for step in facts.steps) or not posix_shell(facts.shell):
        return manual(facts.stage.instructions[0].line, f"its SHELL is {' '.join(facts.shell)}", "add the user by hand")
    return None


def is_base_of_others(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Other Dockerfiles of the repository build on it, and their own steps would lose root with it."""
    if project.root is None or all(one == project.dockerfile_path for one in files(project.root).dockerfiles):
        return None
    from hardener import repository  # noqa: PLC0415  only what would be switched, and is not alone, pays for it

    found = repository.dependents(project.root).get(project.dockerfile_path, ())
    if not found:
        return None
    names = ", ".join(map(str, found[:3])) + (", ..." if len(found) > 3 else "")
    return manual(
        facts.stage.instructions[0].line,
        f"other Dockerfiles here build FROM its image, and their steps would lose root ({len(found)}: {names})",
        "let those have a USER of their own first, and USER root where they need it",
    )
