"""Reasons against preparing the server of an official image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import server_configuration, servers
from hardener.outcome import Verdict, manual
from hardener.pragmas import is_ignored
from hardener.server_start import runs_something_else

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def is_prepared(project: Project, facts: StageFacts, settings: Settings) -> bool:
    """Whether a stage runs its base image's own server, and `prepare_server` may do something about it."""
    return may_prepare(facts, settings) and server_configuration.configuration(project, facts) is not None


def may_prepare(facts: StageFacts, settings: Settings) -> bool:
    """Whether `prepare_server` may change a stage: neither an option nor a comment switches it off."""
    dockerfile = facts.steps[0].dockerfile if facts.steps else None
    line = facts.stage.instructions[0].line
    return settings.runs("prepare_server") and not (dockerfile and is_ignored(dockerfile, line, "prepare_server"))


def cannot_be_prepared(project: Project, facts: StageFacts, settings: Settings) -> Verdict | None:
    """The own server of the base image wants root, and what it does is not known well enough to take that away."""
    image, server = facts.image, servers.server_of(facts)
    if image is None or server is None:
        return None
    found = server_configuration.configuration(project, facts)
    if found is not None and not may_prepare(facts, settings):
        line = facts.stage.instructions[0].line
        return manual(line, "its server wants root, and prepare_server is switched off", "let prepare_server run")
    if found is None:
        own_account = server.same_workers or not server.only_reads
        if own_account and runs_something_else(project, facts):
            return None  # else it would run as the server's user, which owns nothing that it could write
        return manual(
            facts.stage.instructions[0].line,
            f"it starts something else on top of {facts.reference} than its server, as far as can be told",
            "build FROM an image without that server, or start the server in the exec form",
        )
    from hardener.server_needs import obstacle  # noqa: PLC0415  few images are servers

    reason = obstacle(project, facts, settings, found)
    if reason is None:
        return None
    text = image.way_out or "move its port, pid file, logs and caches by hand, then add USER"
    return manual(reason.line, f"its server wants root: {reason.reason}", text)
