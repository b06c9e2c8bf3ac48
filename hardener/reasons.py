"""Every reason against switching a stage, one small function each, in the order in which they are asked.

The first that answers decides.  The cases and their threads are those of public issues: images that were switched
and reverted, or that maintainers keep as root on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import compose, ports, pragmas, processes, run_time
from hardener.accounts import WITHOUT_SHELL, family_of
from hardener.context import destination
from hardener.outcome import Outcome, Verdict, manual
from hardener.paths import below
from hardener.stages import StageFacts, posix_shell

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import Step


def runs_as_another_user(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The effective user is not root, or only known when the image is built."""
    line = (facts.user_step.instruction if facts.user_step else facts.stage.instructions[0]).line
    if facts.user is None:
        return manual(line, "its USER is a variable without a value here", "give the ARG a default that is not root")
    if facts.runs_as_root is False:
        origin = "" if facts.user_step else f" (from {facts.reference})"
        return Verdict(Outcome.ALREADY, line, f"runs as {facts.user}{origin}")
    return None


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


def has_suppression(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Somebody wrote down that root is wanted, or that the stage is to be left alone."""
    first = facts.stage.instructions[0].line
    if pragmas.is_ignored(project.dockerfile, first, "run_as_user"):
        return manual(first, "a comment says `harden: ignore`", "take the comment away to have it switched")
    line = pragmas.root_is_wanted(project.dockerfile, facts)
    if line is not None:
        return manual(line, "a comment says that root is wanted here", "take the comment away to have it switched")
    return None


def has_unknown_base(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What a switch would break cannot be told from the text alone."""
    line = project.dockerfile.stages[facts.chain[0]].instructions[0].line
    if facts.reference is None:
        return manual(line, "its base image is a variable without a value here", "give the ARG a default")
    if facts.image is not None:
        return None
    if not family_of(facts):
        return manual(
            line,
            f"nothing is known of its base image {facts.reference}",
            "add USER in that image, or by hand here",
        )
    if facts.entrypoint is None and facts.command is None:
        return manual(
            line,
            f"its start command comes from {facts.reference}, which is not known",
            "add USER in that image",
        )
    return None


def has_special_base(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The base image drops root itself, or its own server wants root, and that server is what runs."""
    image = facts.image
    if image is None or image.outcome in ("plain", "already"):
        return None
    line = project.dockerfile.stages[facts.chain[0]].instructions[0].line
    own_start = facts.entrypoint is not None or (facts.command is not None and image.outcome == "server")
    if image.outcome == "drops" and facts.entrypoint is None:
        return Verdict(Outcome.ALREADY, line, image.reason, image.way_out)
    if image.outcome == "server" and own_start:
        return None  # what it starts instead is asked below
    return manual(line, image.reason, image.way_out)


def never_starts(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """An image without a start command of its own is built to be used by others: as a base, a tool box, files."""
    if facts.entrypoint is not None or facts.command is not None:
        return None
    line = facts.stage.instructions[0].line
    if facts.image is not None and facts.image.has_cmd and facts.image.family != "scratch":
        return None
    return manual(
        line,
        "it starts nothing of its own: a base or tool image, whose users may need root",
        "add USER where it is used",
    )


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


def is_github_action(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """GitHub runs Docker actions with files of root (https://github.com/jbangdev/jbang/issues/249)."""
    for name in ("action.yml", "action.yaml"):
        content = project.read(project.context / name) or b""
        if b"using:" in content and b"docker" in content.split(b"using:", 1)[1][:16]:
            return manual(facts.stage.instructions[0].line, "GitHub requires Docker actions to run as root", "leave it")
    return None


def is_dev_container(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A development container is used by people who install things in it."""
    if ".devcontainer" in project.dockerfile_path.parts:
        return manual(
            facts.stage.instructions[0].line,
            "a development container has a user of its own setting",
            "set remoteUser in devcontainer.json",
        )
    return None


def compose_needs_root(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A Compose service starts it with rights or mounts that go with root."""
    found = compose.root_need(project, facts.stage.name, facts.stage.index == len(project.dockerfile.stages) - 1)
    if found is None:
        return None
    return manual(facts.stage.instructions[0].line, f"{found.where}: {found.reason}", found.way_out)


def has_foreign_shell(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The RUN lines to insert are POSIX shell."""
    if any(not posix_shell(step.shell) for step in facts.steps) or not posix_shell(facts.shell):
        return manual(facts.stage.instructions[0].line, f"its SHELL is {' '.join(facts.shell)}", "add the user by hand")
    return None


def start_needs_root(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What it starts needs root, or gives it up by itself."""
    found = list(processes.obstacles(project, facts))
    for one in found:
        if one.drops:
            return Verdict(Outcome.ALREADY, one.line, f"{one.where + ': ' if one.where else ''}{one.reason}")
    for one in found:
        return manual(one.line, f"{one.where + ': ' if one.where else ''}{one.reason}", one.way_out)
    package = processes.root_package(facts)
    if package is not None:
        return manual(package[0].instruction.line, package[1], package[2])
    service = processes.system_service(project, facts)
    if service is not None:
        line = (facts.entrypoint or facts.command or facts.steps[0]).instruction.line
        return manual(
            line,
            f"{service} is a service of the system's with paths of its own, and where it writes is not known",
            "find its pid, log and data paths, give them to the new user, then add USER by hand",
        )
    return None


def uses_root_home(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What lies below /root (mode 0700) cannot be reached by another user."""
    way_out = "move it to a path that every user can enter"
    home = processes.home_of(facts)
    if home is not None and below(home, ("/root",)):
        return manual(facts.stage.instructions[0].line, "ENV sets HOME below /root", way_out)
    if facts.workdir is not None and below(facts.workdir, ("/root",)):
        return manual(
            facts.stage.instructions[0].line, f"its working directory {facts.workdir} is below /root", way_out
        )
    for step, reason, way in processes.below_root(facts):
        return manual(step.instruction.line, reason, way)
    for step in facts.steps:
        instruction = step.instruction
        text = instruction.value
        if instruction.keyword in ("ENV", "CMD", "ENTRYPOINT", "VOLUME", "HEALTHCHECK") and mentions_root(text):
            return manual(instruction.line, f"{instruction.keyword} uses a path below /root", way_out)
        if instruction.keyword in ("COPY", "ADD"):
            target = destination(step)
            if target is not None and below(target, ("/root",)):
                return manual(instruction.line, f"{instruction.keyword} puts files below /root", way_out)
        if instruction.keyword == "RUN" and installs_below_root(step):
            return manual(instruction.line, "an installer script puts its files below /root", way_out)
    return None


def mentions_root(text: str) -> bool:
    """Whether a text has /root as a path, not as a part of another word."""
    position = text.find("/root")
    while position >= 0:
        before = text[position - 1 : position]
        after = text[position + 5 : position + 6]
        if not (before.isalnum() or before in ("_", "-", ".", "/", "}")) and not (
            after.isalnum() or after in ("_", "-", ".")
        ):
            return True
        position = text.find("/root", position + 1)
    return False


def installs_below_root(step: Step) -> bool:
    """Whether a RUN pipes a script from the network into a shell and then uses it from /root or ~."""
    text = step.instruction.value
    piped = any(f"| {shell}" in text or f"|{shell}" in text for shell in ("sh", "bash", "python"))
    return piped and (mentions_root(text) or "~/" in text or "$HOME" in text or "${HOME}" in text)


def writes_where_it_cannot(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """State that was written at build time by root in a VOLUME, or a VOLUME that nobody can prepare."""
    for step in facts.steps:
        if step.instruction.keyword != "VOLUME":
            continue
        if family_of(facts) in WITHOUT_SHELL:
            return manual(
                step.instruction.line,
                "an image without a shell cannot give its VOLUME an owner",
                "COPY --chown an empty directory to the VOLUME's path from another stage, then add USER",
            )
    return None


def hides_from_others(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The build leaves files that only root can read."""
    found = next(run_time.hidden_files(facts), None)
    return None if found is None else manual(*found)


def rebuilds_at_start(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Its start command builds again in directories that a build step filled as root."""
    found = run_time.rebuilds_at_start(project, facts)
    return None if found is None else manual(*found)


def listens_below_1024(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """A port below 1024 that cannot be moved everywhere at once."""
    found = ports.stuck(project, facts, settings)
    if found is None:
        return None
    return manual(found.line, found.reason, found.way_out)


def ends_inside_a_line(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Text after a line that ends in the escape character would join that line."""
    last = project.dockerfile.instructions[-1]
    text = project.dockerfile.data[last.span.start : last.span.stop].rstrip()
    if not last.heredocs and text.endswith(project.dockerfile.escape.encode()):
        return manual(last.line, "its last line ends in a line continuation", "finish that line")
    return None


QUESTIONS = (
    runs_as_another_user,
    is_windows,
    has_suppression,
    has_unknown_base,
    has_special_base,
    is_github_action,
    is_dev_container,
    never_starts,
    has_triggers,
    has_foreign_shell,
    compose_needs_root,
    start_needs_root,
    uses_root_home,
    writes_where_it_cannot,
    hides_from_others,
    rebuilds_at_start,
    listens_below_1024,
    ends_inside_a_line,
)
