"""Give copied application files to the account that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import server_start, servers
from hardener.context import copy_arguments, destination, flag, is_remote
from hardener.directories import working_directories
from hardener.edit import Edit, Finding
from hardener.paths import absolute, below, is_system
from hardener.placement import placement, switched_stages
from hardener.script_modes import is_owner_only, is_start_script
from hardener.user_steps import fragile_after, is_changed_as_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.accounts import Account
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts, Step


def own_copied(project: Project, settings: Settings) -> Iterator[Finding]:
    """Add ``--chown`` to the COPY and ADD instructions that bring the application's own files.

    Why: copied files belong to root whatever USER says, and the application cannot write its database, its cache
    or its uploads.
    Safety: numeric by default, since BuildKit silently takes 0:0 for a name it cannot find; existing flags stay;
    what goes to system paths stays root's; nothing is copied twice, as a later `RUN chown -R` would.
    References: https://docs.docker.com/reference/dockerfile/#copy---chown---chmod
    """
    done: set[int] = set()
    for facts, verdict in switched_stages(project, settings):
        assert verdict.account is not None
        as_user = placement(project, facts).as_user
        for step in facts.own_steps:
            instruction = step.instruction
            if instruction.line in done or not belongs_to_account(project, facts, step):
                continue
            if fragile_after(project, facts, step, as_user):
                continue
            done.add(instruction.line)
            owner = owner_text(verdict.account, settings)
            yield Finding(
                "own_copied",
                project.dockerfile_path,
                instruction.line,
                f"{instruction.keyword} gives its files to root, whatever USER says",
                (
                    Edit(
                        project.dockerfile_path,
                        instruction.flags_stop,
                        instruction.flags_stop,
                        f" --chown={owner}".encode(),
                    ),
                ),
            )


def belongs_to_account(project: Project, facts: StageFacts, step: Step) -> bool:
    """Whether a step copies what the account has to own: the application, or what its start rewrites."""
    server = servers.server_of(facts)
    if server_start.keeps_workers(project, facts):
        return False
    if server is not None and server.only_reads and server_start.runs_server(project, facts):
        unowned = step.instruction.keyword in ("COPY", "ADD") and flag(step.instruction, "chown") is None
        from hardener.server_needs import is_written_at_start  # noqa: PLC0415  few images are servers

        return unowned and is_written_at_start(project, facts, step)
    return belongs_to_application(project, facts, step)


def owner_text(account: Account, settings: Settings) -> str:
    """Return the value for ``--chown=``."""
    return account.written(settings.user_style)


def belongs_to_application(project: Project, facts: StageFacts, step: Step) -> bool:
    """Whether a step copies files that are the application's, not the system's, and that have no owner yet."""
    instruction = step.instruction
    if instruction.keyword not in ("COPY", "ADD") or flag(instruction, "chown") is not None:
        return False
    if is_start_script(facts, step):
        return is_owner_only(project, facts, step) or is_changed_as_user(facts, step)
    sources, _ = copy_arguments(instruction)
    if any(is_remote(source) for source in sources):
        return True  # a fetched file has mode 0600: only its owner can read it
    target = destination(step)
    if target is None:
        return True  # a variable: somewhere of the project's own
    if below(target, working_directories(facts)):
        return True
    written = copy_arguments(instruction)[1].strip("\"'")
    into_directory = written.endswith(("/", "/.")) or len(sources) > 1 or written in (".", "..")
    file = target
    if into_directory and len(sources) == 1 and not any(mark in sources[0] for mark in "*?["):
        name = sources[0].strip("\"'").rstrip("/").rpartition("/")[2]
        file = absolute(name, target) if name not in ("", ".", "..") and "." in name else target
    return not is_system(file) and not below(file, ("/tmp",))  # noqa: S108  a path in an image
