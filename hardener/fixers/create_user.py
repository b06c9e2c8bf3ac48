"""Create the account that the image will run as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.accounts import DIALECTS, family_of
from hardener.edit import Finding
from hardener.lines import insertion
from hardener.placement import switched_stages
from hardener.stages import is_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.accounts import Account
    from hardener.dockerfile import Dockerfile
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def create_user(project: Project, settings: Settings) -> Iterator[Finding]:
    """Create a user and a group with fixed ids, in the dialect of the base image, where none is there to use.

    Why: a name that nobody created stops the container from starting, and an id that changes from build to build
    loses the owner of every volume.
    Safety: one layer of a few bytes right after FROM; an id or a name that is taken is never touched.
    References: https://docs.docker.com/build/building/best-practices/#user, CIS Docker 4.1
    """
    created: set[int] = set()
    for facts, verdict in switched_stages(project, settings):
        account = verdict.account
        if account is None or account.exists or created.intersection(facts.chain):
            continue
        created.add(facts.stage.index)
        lines = creation(project.dockerfile, account, family_of(facts))
        yield Finding(
            "create_user",
            project.dockerfile_path,
            facts.stage.instructions[0].line,
            f"{account.user} ({account.uid}:{account.gid}) does not exist in {facts.reference}",
            (insertion(project, after_head(facts), lines),),
        )


def creation(dockerfile: Dockerfile, account: Account, family: str) -> list[str]:
    """Return the lines of the RUN that creates an account."""
    values = account._asdict()
    commands = [command.format(**values) for command in DIALECTS[family]]
    line = "RUN " + " && ".join(commands)
    if len(line) <= 110:
        return [line]
    return ["RUN " + f" && {dockerfile.escape}\n    ".join(commands)]


def after_head(facts: StageFacts) -> int:
    """Return the offset after FROM and the ARG, ENV and LABEL lines that follow it, where the user is root."""
    offset = facts.stage.instructions[0].span.stop
    root = is_root(facts.own_steps[0].user or "") if facts.own_steps else True
    for step in facts.own_steps:
        keyword = step.instruction.keyword
        if keyword == "USER":
            root = is_root(step.instruction.value)
        elif keyword not in ("ARG", "ENV", "LABEL", "MAINTAINER") and root:
            break
        offset = step.instruction.span.stop
    return offset
