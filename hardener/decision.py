"""Decides what may be done with each stage: switch it, leave it because it is not root, or leave it to a person."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import (
    accounts,
    compose,
    migration,
    ports,
    root_entrypoint,
    script_modes,
    server_ports,
    server_start,
)
from hardener.outcome import Outcome, Verdict, manual
from hardener.reasons import QUESTIONS
from hardener.stages import StageFacts, stage_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.accounts import Account
    from hardener.project import Project
    from hardener.settings import Settings


def is_target(project: Project, index: int) -> bool:
    """Whether people build this stage: the last one, or one that a Compose file names."""
    stages = project.dockerfile.stages
    return index == len(stages) - 1 or stages[index].name in compose.build_targets(project)


@lru_cache(maxsize=64)
def targets(project: Project) -> tuple[int, ...]:
    """Return the indices of the stages that people build, in order."""
    return tuple(index for index in range(len(project.dockerfile.stages)) if is_target(project, index))


@lru_cache(maxsize=256)
def verdict(project: Project, index: int, settings: Settings) -> Verdict:
    """Return what may be done with the stage at ``index`` (0-based), as it was before any edit."""
    if index in project.verdicts:
        return project.verdicts[index]
    facts = stage_facts(project.dockerfile, index)
    line = facts.stage.instructions[0].line
    answer = answers(project, settings)[index] if is_target(project, index) else own_answer(project, index, settings)
    if answer is not None:
        return answer
    account = accounts.account_for(facts, settings, is_server=server_start.runs_server(project, facts))
    if account is None:
        return has_uncertain_account(line)
    wrote_as_root = not server_start.keeps_workers(project, facts)  # else its workers were this account already
    kept = root_entrypoint.kept_paths(project, facts, settings) if wrote_as_root else ()
    if kept:
        obstacle = cannot_keep_root_entrypoint(project, facts, account)
        if obstacle is not None:
            return obstacle
        reason = f"starts as root to give {', '.join(kept)} to {account.written('numeric')}, and goes on as that user"
        return Verdict(Outcome.SWITCH, line, reason, "", account, (), kept)
    needed = migration.migrations(project, facts, account) if wrote_as_root else ()
    reason = f"runs as {account.written(settings.user_style)}"
    notes = (
        migration.hint(needed),
        server_ports.publishing(project, facts, settings),
        kept_ports(project, facts, settings),
        *script_modes.notes(project, facts),
    )
    return Verdict(Outcome.SWITCH, line, reason, "; ".join(text for text in notes if text), account, needed)


@lru_cache(maxsize=256)
def own_answer(project: Project, index: int, settings: Settings) -> Verdict | None:
    """Return why a stage is not switched, asked for it alone; ``None`` where nothing speaks against it."""
    facts = stage_facts(project.dockerfile, index)
    for ask in QUESTIONS:
        answer = ask(project, facts, settings)
        if answer is not None:
            return answer._replace(question=ask.__name__)
    return None


@lru_cache(maxsize=64)
def answers(project: Project, settings: Settings) -> dict[int, Verdict | None]:
    """Return for each stage that people build why it is not switched: by itself, or for a stage built FROM it.

    One stage that is left leaves those whose port it inherits, and so on.
    """
    found = {index: own_answer(project, index, settings) for index in targets(project)}
    asked = [index for index, answer in found.items() if answer is None] if len(found) > 1 else []
    if asked:
        from hardener import inherited_ports  # noqa: PLC0415  few files have several stages that people build
    while asked:
        left = frozenset(found) - frozenset(asked)
        heirs = {index: inherited_ports.heir(project, settings, index, left) for index in asked}
        for index, heir in heirs.items():
            if heir is not None:
                found[index] = shares_port_with_stage_left(project, index, *heir)
        if not any(heirs.values()):
            break
        asked = [index for index in asked if heirs[index] is None]
    return found


def has_uncertain_account(line: int) -> Verdict:
    """Its base image's user is a name without known ids, or its files belong to several accounts already."""
    reason = "which account it should run as is not certain"
    way_out = "add the USER that should run it by hand"
    return manual(line, reason, way_out)._replace(question=has_uncertain_account.__name__)


def cannot_keep_root_entrypoint(project: Project, facts: StageFacts, account: Account) -> Verdict | None:
    """With `--keep-root-entrypoint`: the entrypoint that starts as root and gives root up cannot be written for it."""
    found = root_entrypoint.obstacle(project, facts, account)
    if found is None:
        return None
    line = facts.stage.instructions[0].line
    return manual(line, *found)._replace(question=cannot_keep_root_entrypoint.__name__)


def shares_port_with_stage_left(project: Project, index: int, heir: int, port: int) -> Verdict:
    """Its port below 1024 would move in another stage too, which people build as well and which stays as it is."""
    stages = project.dockerfile.stages
    name = stages[heir].name or f"of line {stages[heir].instructions[0].line}"
    reason = f"port {port} would move in the stage {name} too, which stays as it is"
    way_out = "make that stage run without root first, or build it FROM another one"
    answer = manual(stages[index].instructions[0].line, reason, way_out)
    return answer._replace(question=shares_port_with_stage_left.__name__)


LATER_QUESTIONS: tuple[Callable[..., Verdict | None], ...] = (
    has_uncertain_account,
    cannot_keep_root_entrypoint,
    shares_port_with_stage_left,
)
"""The reasons that are found when an account is chosen, or two stages are looked at together."""


def kept_ports(project: Project, facts: StageFacts, settings: Settings) -> str:
    """Return where the ports below 1024 work that stay by choice, ``""`` without one."""
    found = sorted(ports.kept(project, facts, settings))
    if not found or settings.port_policy != "keep":
        return ""
    from hardener import port_permission  # noqa: PLC0415  only with --ports

    return f"left on port {', '.join(map(str, found))}: {port_permission.KEEPS}"
