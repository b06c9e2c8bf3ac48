"""Every reason against switching a stage, one small function each, in the order in which they are asked.

The first that answers decides.  The cases and their threads are those of public issues: images that were switched
and reverted, or that maintainers keep as root on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import (
    base_reasons,
    compose_needs,
    documented_runs,
    fly,
    hazards,
    host_network,
    ports,
    pragmas,
    root_home,
    server_reasons,
    server_start,
    start_reasons,
    start_scripts,
)
from hardener.accounts import WITHOUT_SHELL, family_of
from hardener.context import destination
from hardener.directories import is_not_shared, volumes
from hardener.needs import left_by_configuration
from hardener.outcome import Outcome, Verdict, manual
from hardener.relative_writes import relative_write
from hardener.stages import stage_facts
from hardener.state_directories import data_options, directories_written, misplaced_database

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.root_moves import Move
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def runs_as_another_user(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The effective user is not root, or only known when the image is built."""
    line = (facts.user_step.instruction if facts.user_step else facts.stage.instructions[0]).line
    if facts.user is None:
        return manual(line, "its USER is a variable without a value here", "give the ARG a default that is not root")
    if facts.runs_as_root is False:
        inherited = facts.image.inherited if facts.image is not None else None
        origin = "" if facts.user_step else f" (from {inherited.origin if inherited is not None else facts.reference})"
        return Verdict(Outcome.ALREADY, line, f"runs as {facts.user}{origin}")
    return None


def is_left_by_configuration(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The configuration says that it is to be left alone, and why."""
    return left_by_configuration(settings, project.dockerfile_path, facts.stage.instructions[0].line)


def has_suppression(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Somebody wrote down that root is wanted, or that the stage is to be left alone."""
    first = facts.stage.instructions[0].line
    if pragmas.is_ignored(project.dockerfile, first, "run_as_user"):
        return manual(first, "a comment says `harden: ignore`", "take the comment away to have it switched")
    line = pragmas.root_is_wanted(project.dockerfile, facts)
    if line is not None:
        return manual(line, "a comment says that root is wanted here", "take the comment away to have it switched")
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
    binds = not server_start.keeps_workers(project, facts)
    found = compose_needs.root_need(project, facts.stage, settings, binds=binds)
    found = found or host_network.root_need(project, facts)
    found = found or (fly.mount_need(project, settings) if binds else None)
    found = found or documented_runs.documented_need(project, binds=binds)
    return None if found is None else manual(*found)


def start_needs_root(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What it starts needs root, or gives it up by itself."""
    found = list(start_scripts.obstacles(project, facts))
    if found and "/root" in found[0].reason.text and (move := root_move(project, facts, settings)) is not None:
        after = project.apply(move.edits)
        found = list(start_scripts.obstacles(after, stage_facts(after.dockerfile, facts.stage.index)))
    for one in found:
        if one.drops:
            return Verdict(Outcome.ALREADY, one.reason.line, one.reason.text)
    return manual(*found[0].reason) if found else None


def uses_root_home(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """What lies below /root (mode 0700) cannot be reached by another user."""
    if server_start.keeps_workers(project, facts):
        return None
    found = next(root_home.reasons(project, facts), None)
    return None if found is None or root_move(project, facts, settings) is not None else manual(*found)


def root_move(project: Project, facts: StageFacts, settings: Settings) -> Move | None:
    """Return what `move_root_tools` will do, ``None`` where it cannot or must not."""
    from hardener import root_moves  # noqa: PLC0415  few images keep anything there

    move = root_moves.move(project, facts, "0:0") if settings.runs("move_root_tools") else None
    if move is None or pragmas.is_ignored(project.dockerfile, move.line, "move_root_tools"):
        return None
    return move


def writes_where_it_cannot(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """State that the build writes as root, or a VOLUME that nobody can prepare."""
    if server_start.keeps_workers(project, facts):
        return None
    found = next(hazards.state_of_root(project, facts), None)
    if found is not None:
        return manual(*found)
    database = misplaced_database(project, facts)
    line = facts.stage.instructions[0].line
    if database is not None:
        text = f"{database.where}: its database {database.path} is in a directory that stays root's"
        return manual(line, text, "keep it in a directory of its own, such as /data, then add USER")
    relative = relative_write(project, facts)
    if relative is not None:
        text = f"{relative.where}: it writes {relative.path} in {facts.workdir}, where it starts, and that stays root's"
        return manual(line, text, "give it a WORKDIR of its own, such as /app")
    if family_of(facts) not in WITHOUT_SHELL:
        return None
    if directories_written(project, facts):
        text = (
            f"it writes {directories_written(project, facts)[0]}, and an image without a shell cannot give it an owner"
        )
        return manual(line, text, "COPY --chown an empty directory to that path from another stage, then add USER")
    if data_options(facts):
        first = facts.command or facts.entrypoint or facts.steps[0]
        return manual(
            first.instruction.line,
            "an image without a shell cannot give its data directory an owner",
            "COPY --chown an empty directory to that path from another stage, then add USER",
        )
    for step in facts.steps:
        if step.instruction.keyword == "VOLUME":
            return manual(
                step.instruction.line,
                "an image without a shell cannot give its VOLUME an owner",
                "COPY --chown an empty directory to the VOLUME's path from another stage, then add USER",
            )
    copied = {destination(step) for step in facts.steps if step.instruction.keyword in ("COPY", "ADD")}
    for path in volumes(project, facts):
        if path not in copied and is_not_shared(facts, path):
            text = f"an image without a shell cannot give {path}, where a volume is mounted, an owner"
            return manual(line, text, "COPY --chown an empty directory to that path from another stage, then add USER")
    return None


def hides_from_others(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The build leaves files that only root can read."""
    found = next(hazards.hidden_files(project, facts), None)
    return None if found is None else manual(*found)


def rebuilds_at_start(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """Its start command builds again in directories that a build step filled as root."""
    if server_start.keeps_workers(project, facts):
        return None
    found = hazards.rebuilds_at_start(project, facts)
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
    base_reasons.is_windows,
    has_suppression,
    is_left_by_configuration,
    base_reasons.has_unknown_base,
    base_reasons.has_special_base,
    base_reasons.has_unknown_tools,
    base_reasons.has_foreign_application,
    is_github_action,
    is_dev_container,
    base_reasons.never_starts,
    base_reasons.is_for_platform,
    base_reasons.holds_another_system,
    base_reasons.has_triggers,
    base_reasons.has_foreign_shell,
    server_reasons.cannot_be_prepared,
    compose_needs_root,
    start_needs_root,
    base_reasons.takes_user_from_variable,
    start_reasons.installs_root_package,
    start_reasons.sets_up_service,
    start_reasons.brings_docker_client,
    start_reasons.starts_foreign_program,
    start_reasons.starts_program_of_another_image,
    start_reasons.may_start_its_bases_server,
    start_reasons.fetches_its_application,
    base_reasons.has_unknown_entrypoint,
    uses_root_home,
    writes_where_it_cannot,
    hides_from_others,
    rebuilds_at_start,
    listens_below_1024,
    ends_inside_a_line,
    base_reasons.is_base_of_others,
)
