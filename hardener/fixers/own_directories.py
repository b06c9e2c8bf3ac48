"""Give the directories that the application writes in to its account."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hardener import server_start
from hardener.accounts import WITHOUT_SHELL, family_of
from hardener.directories import already_owned
from hardener.edit import Finding
from hardener.homes import missing_home
from hardener.lines import insertion, line_start
from hardener.paths import below
from hardener.placement import placement, switched_stages
from hardener.stacks import framework_directories
from hardener.stages import is_root, resolve
from hardener.start_directories import directories_at_start
from hardener.state_directories import logs_written, state_directories
from hardener.user_steps import made_exactly, steps_as_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts


def own_directories(project: Project, settings: Settings) -> Iterator[Finding]:
    """Create the working directory, volumes and other state directories, and give them to the account.

    Why: WORKDIR and VOLUME make directories that belong to root, and an empty named volume takes its owner from
    the image; SQLite, logs and uploads then fail with "permission denied" although every file was given away.
    Safety: only the directories themselves, never recursively; not the system's; modes stay as they are.
    References: https://github.com/moby/moby/issues/36677, https://github.com/moby/moby/issues/45714
    """
    covered: set[str] = set()
    for facts, verdict in switched_stages(project, settings):
        if family_of(facts) in WITHOUT_SHELL or server_start.keeps_workers(project, facts):
            continue
        assert verdict.account is not None
        done = already_owned(facts)
        directories = [*state_directories(project, facts), *directories_at_start(project, facts), *verdict.kept]
        directories += [one for one in framework_directories(project, facts) if not below(one, tuple(done))]
        home = missing_home(facts, verdict.account, settings)
        directories += [home] if home is not None else []
        own_work = {path for step in steps_as_user(facts) for path in made_exactly(step)}
        directories = [one for one in dict.fromkeys(directories) if one not in covered and one not in own_work]
        covered.update(directories)
        directories = [one for one in directories if one not in done]
        logs = [one for one in logs_written(project, facts) if one not in done and one not in covered]
        covered.update(logs)
        owner = verdict.account.written("numeric")
        lines = [making(project, facts, directories, owner)] if directories else []
        if logs:
            names = " ".join(shlex.quote(one) for one in logs)
            lines.append(f"RUN touch {names} && chown {owner} {names}")
        if lines:
            yield Finding(
                "own_directories",
                project.dockerfile_path,
                facts.stage.instructions[0].line,
                f"{', '.join((*directories, *logs))} would belong to root, and {owner} could not write there",
                (insertion(project, before_volumes(project, facts), lines),),
            )


def making(project: Project, facts: StageFacts, directories: list[str], owner: str) -> str:
    """Return the RUN that makes the directories that are not there yet and gives all of them away."""
    there = made_before(facts, before_volumes(project, facts))
    missing = [shlex.quote(one) for one in directories if one not in there]
    names = " ".join(shlex.quote(one) for one in directories)
    make = f"mkdir -p {' '.join(missing)} && " if missing else ""
    return f"RUN {make}chown {owner} {names}"


def made_before(facts: StageFacts, offset: int) -> set[str | None]:
    """Return the working directories that are sure to exist at an offset of the Dockerfile: WORKDIR makes them.

    The WORKDIR a stage ends with may stand below, behind RUN steps that come after USER.
    """
    steps = (one for one in facts.steps if one.instruction.keyword == "WORKDIR")
    found = {
        resolve(one.instruction.value, one)
        for one in steps
        if one.stage != facts.stage.index or one.instruction.span.stop <= offset
    }
    return {*found, *(one.workdir for one in facts.steps[:1])}  # and the one that the base image leaves


def before_volumes(project: Project, facts: StageFacts) -> int:
    """Return the offset of the first VOLUME of the stage (a later change there is lost), else that of its USER."""
    for step in facts.own_steps:
        if step.instruction.keyword == "VOLUME" and is_root(step.user or ""):
            return min(line_start(project.dockerfile, step.instruction), placement(project, facts).offset)
    return placement(project, facts).offset
