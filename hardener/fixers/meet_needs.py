"""Give an image what the configuration says that it needs as a non-root user."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hardener import compose
from hardener.accounts import WITHOUT_SHELL, family_of, group_number, made_accounts, own_account
from hardener.decision import targets, verdict
from hardener.directories import already_owned
from hardener.edit import Finding
from hardener.fixers.own_directories import before_volumes
from hardener.lines import insertion, line_start
from hardener.needs import is_file, needs_of
from hardener.outcome import Outcome
from hardener.paths import absolute
from hardener.stages import is_root, stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.edit import Edit
    from hardener.needs import Needs
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def meet_needs(project: Project, settings: Settings) -> Iterator[Finding]:
    """Make writable and readable, and set, what ``[dockerfiles."..."]`` of the configuration names.

    Why: what a program writes at run time cannot always be seen in its files; people know it, and `harden verify
    --learn` finds it out by running the image.
    Safety: only what somebody wrote into the configuration; directories are not given away recursively; also for a
    stage whose Dockerfile has a USER of its own already, never for one that runs as root.
    References: https://github.com/moby/moby/issues/36677, https://github.com/compose-spec/compose-spec/blob/main/05-services.md#tmpfs
    """
    needs = needs_of(settings, project.dockerfile_path)
    if needs.leave or not any((needs.writable, needs.readable, needs.env, needs.tmpfs)):
        return
    for index in targets(project):
        facts = stage_facts(project.dockerfile, index)
        place = owner_and_place(project, facts, settings)
        if place is None:
            continue
        owner, offset = place
        lines = [] if family_of(facts) in WITHOUT_SHELL else [*commands(facts, needs, owner, offset)]
        lines += [f"ENV {key}={value}" for key, value in needs.env if facts.variables.get(key) != value]
        edits = [insertion(project, offset, lines)] if lines else []
        for service in compose.services_of(project, facts.stage):
            if service.certain:
                edits += temporary_folders(project, service, needs.tmpfs, numbered(facts, owner))
        if edits:
            line = facts.stage.instructions[0].line
            reason = "the configuration names what it needs as a non-root user"
            yield Finding("meet_needs", project.dockerfile_path, line, reason, tuple(edits))


def owner_and_place(project: Project, facts: StageFacts, settings: Settings) -> tuple[str, int] | None:
    """Return who gets what a stage needs, and where root can still give it; ``None`` where the stage is root's."""
    answer = verdict(project, facts.stage.index, settings)
    if answer.outcome is Outcome.SWITCH and answer.account is not None:
        return answer.account.written("numeric"), before_volumes(project, facts)
    step = facts.user_step
    if answer.outcome is not Outcome.ALREADY or step is None or step.stage != facts.stage.index or not facts.user:
        return None
    if not is_root(step.user or ""):
        return None  # it is no root that could give anything
    volume = next((one for one in facts.own_steps if one.instruction.keyword == "VOLUME"), None)
    at = line_start(project.dockerfile, step.instruction)
    if volume is not None:
        at = min(at, line_start(project.dockerfile, volume.instruction))
    return facts.user, at


def numbered(facts: StageFacts, owner: str) -> str:
    """Return an owner as ``uid:gid`` where Dockerfile or base image tell the numbers of its name, else as it is."""
    user, _, group = owner.partition(":")
    account = own_account(facts, made_accounts(facts), user)
    if account is None or account.uid is None or account.gid is None:
        return owner
    gid = group_number(made_accounts(facts), group) if group else account.gid
    return owner if gid is None else f"{account.uid}:{gid}"


def commands(facts: StageFacts, needs: Needs, owner: str, offset: int) -> Iterator[str]:
    """Yield the RUN instructions for the paths that are not given yet.

    What a step below ``offset`` makes is the user's already: it runs as that user.
    """
    done = already_owned(facts)
    for step, command in facts.run_commands:
        if command.name == "mkdir" and step in facts.own_steps and step.instruction.span.start >= offset:
            done |= {absolute(one.text, command.directory or "/") for one in command.arguments if one.text}
    wanted = [one.rstrip("/") or "/" for one in needs.writable]
    missing = [one for one in dict.fromkeys(wanted) if one not in done]
    folders = [shlex.quote(one) for one in missing if not is_file(one) or f"{one}/" in needs.writable]
    files = [shlex.quote(one) for one in missing if shlex.quote(one) not in folders]
    if missing:
        made = [f"mkdir -p {' '.join(folders)}"] if folders else []
        made += [f"touch {' '.join(files)}"] if files else []
        yield f"RUN {' && '.join([*made, f'chown {owner} ' + ' '.join((*folders, *files))])}"
    closed = [one for one in needs.readable if one not in opened(facts)]
    if closed:
        yield f"RUN chmod a+rX {' '.join(shlex.quote(one) for one in closed)}"


def opened(facts: StageFacts) -> set[str]:
    """Return the paths that a ``chmod a+rX`` of the Dockerfile opens already."""
    found: set[str] = set()
    for _, command in facts.run_commands:
        words = [one.text or "" for one in command.arguments]
        if command.name == "chmod" and words[:1] == ["a+rX"]:
            found |= {absolute(one, command.directory or "/") for one in words[1:]}
    return found


def temporary_folders(project: Project, service: Service, paths: tuple[str, ...], owner: str) -> Iterator[Edit]:
    """Yield the edit that gives a Compose service with a read-only root the temporary folders that it lacks.

    Without options a folder of the image lends its mode, and root is the owner; a name is no option, and a mode alone
    does not count where the image has the folder.
    """
    if str(service.values.get("read_only")).lower() != "true":
        return
    there = service.values.get("tmpfs") or []
    there = {one.partition(":")[0] for one in ([there] if isinstance(there, str) else there)}
    uid, _, gid = owner.partition(":")
    ids = uid.isdecimal() and gid.isdecimal()
    mode = f"uid={uid},gid={gid},mode=0700" if ids else "mode=1777"
    missing = [f"{one}:{mode}" for one in paths if one not in there]
    if not missing:
        return
    from hardener.port_permission import before_first, lines_at  # noqa: PLC0415  few configurations ask for it

    text = (project.read(service.file) or b"").decode("utf-8", "replace")
    present = compose.entry(service.node, "tmpfs")
    if present is None:
        lines = ["tmpfs:", *(f"  - {one}" for one in missing)]
        yield from before_first(service.file, text, service.node, lines)
    elif present.id == "sequence" and present.value and not present.flow_style:
        yield from lines_at(service.file, text, present.start_mark, [f"- {one}" for one in missing])
