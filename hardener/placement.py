"""Where the new lines of a stage go, and which of its steps then run as the new user."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import privileges
from hardener.context import git_may_be_copied
from hardener.decision import targets, verdict
from hardener.directories import working_directories
from hardener.lines import line_start
from hardener.outcome import Outcome, Verdict
from hardener.processes import HOME
from hardener.stages import StageFacts, is_root, stage_facts

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.shell import Command
    from hardener.stages import Step

FILE_STEPS = frozenset(("RUN", "COPY", "ADD", "WORKDIR", "VOLUME", "USER", "SHELL", "ONBUILD"))
START = frozenset(("ENTRYPOINT", "CMD", "HEALTHCHECK"))


class Switched(NamedTuple):
    """A stage that gets the new user: its facts, and the verdict with its account."""

    facts: StageFacts
    verdict: Verdict


class Placement(NamedTuple):
    """Where USER goes in a stage.

    ``offset`` is the start of a line of the Dockerfile (or its end).  ``replaced`` is the ``USER root`` whose
    argument becomes the account instead.  ``as_user`` are the RUN steps that come after it.
    """

    offset: int
    replaced: Step | None
    as_user: frozenset[int]


def switched_stages(project: Project, settings: Settings) -> tuple[Switched, ...]:
    """Return the stages to switch, in order: those that people build, and those built FROM such a stage."""
    return _switched(project, settings)


@lru_cache(maxsize=64)
def _switched(project: Project, settings: Settings) -> tuple[Switched, ...]:
    found: list[Switched] = []
    chosen: set[int] = set()
    wanted = targets(project)
    for stage in project.dockerfile.stages:
        facts = stage_facts(project.dockerfile, stage.index)
        if stage.index in wanted or chosen.intersection(facts.chain):
            answer = verdict(project, stage.index, settings)
            if answer.outcome is Outcome.SWITCH:
                chosen.add(stage.index)
                found.append(Switched(facts, answer))
    return tuple(found)


@lru_cache(maxsize=256)
def placement(project: Project, facts: StageFacts) -> Placement:
    """Return where the USER of a stage goes: after its last step that needs root."""
    own = facts.own_steps
    dockerfile = project.dockerfile
    tail = tail_as_user(facts)
    last_file_step = max((i for i, step in enumerate(own) if step.instruction.keyword in FILE_STEPS), default=-1)
    as_user = frozenset(own[i].instruction.line for i in tail)
    first = min(tail, default=None)
    user_at = next((i for i, step in enumerate(own) if step is facts.user_step), None)
    if user_at is not None and is_root(own[user_at].user or ""):
        needing = [i for i, step in enumerate(own) if step.instruction.keyword == "RUN" and i not in tail]
        if user_at > max(needing, default=-1) and (first is None or user_at < first):
            return Placement(line_start(dockerfile, own[user_at].instruction), own[user_at], as_user)
    if first is not None:
        return Placement(line_start(dockerfile, own[first].instruction), None, as_user)
    for step in own[last_file_step + 1 :]:
        if step.instruction.keyword in START:
            return Placement(line_start(dockerfile, step.instruction), None, as_user)
    last = own[last_file_step].instruction if last_file_step >= 0 else facts.stage.instructions[-1]
    return Placement(last.span.stop, None, as_user)


def tail_as_user(facts: StageFacts) -> tuple[int, ...]:
    """Return the positions (in the stage's own steps) of the last RUN steps, if they work without root.

    Only together: a step that wrote into the application's directories as root, before, makes the ones after
    it need root too, since they may rewrite what it left.
    """
    own = facts.own_steps
    owned = working_directories(facts)
    runs = [i for i, step in enumerate(own) if step.instruction.keyword == "RUN"]
    first = len(runs)
    while first > 0 and works_as_user(own[runs[first - 1]], owned):
        first -= 1
    before = [
        step for step in facts.steps if step.instruction.keyword == "RUN" and step not in [own[i] for i in runs[first:]]
    ]
    if any(touches_application(step, owned) for step in before):
        return ()
    return tuple(runs[first:])


def works_as_user(step: Step, owned: tuple[str, ...]) -> bool:
    """Whether a RUN step is known to work as a user that owns ``owned``."""
    if any(one.name in ("mount", "security") for one in step.instruction.flags):
        return False  # cache and secret mounts belong to root
    if not is_root(step.user or ""):
        return False
    commands = step.commands
    if not commands:
        return False
    return all(privileges.root_reason(command, (*owned, HOME), HOME) is None for command in commands)


def touches_application(step: Step, owned: tuple[str, ...]) -> bool:
    """Whether a RUN step may write, as root, where the application's own files are."""
    commands = step.commands
    if commands is None:
        return True
    if gives_away(commands):
        return False
    for command in commands:
        reason = privileges.root_reason(command, (*owned, HOME), HOME)
        if reason is None and not privileges.only_reads(command):
            return True
        if reason is not None and privileges.is_unknown(reason):
            return True
    return False


def gives_away(commands: tuple[Command, ...]) -> bool:
    """Whether a RUN is what `own_directories` writes: directories made, and each of them given to an account."""
    if [command.name for command in commands] != ["mkdir", "chown"]:
        return False
    made, given = ([argument.text for argument in command.arguments[1:]] for command in commands)
    return made == given


def fragile_after(project: Project, facts: StageFacts, step: Step, as_user: frozenset[int]) -> bool:
    """Whether a later step, as root, would stumble over files that belong to another user.

    npm 7 and 8 run scripts as the owner of the directory when they are root; Git refuses the repository of
    another user.  See `privileges.minds_owner`.
    """
    seen = False
    for later in facts.steps:
        seen = seen or later is step
        if not seen or later.instruction.keyword != "RUN" or later.instruction.line in as_user:
            continue
        commands = later.commands
        for command in commands or ():
            tool = command.name.rpartition("/")[2]
            if tool in ("npm", "npx") and old_npm(facts):
                return True
            if tool in (
                "git",
                "go",
                "make",
                "pip",
                "pip3",
                "hatch",
                "poetry",
                "uv",
                "cargo",
                "goreleaser",
            ) and git_may_be_copied(project, step):
                return True
        if (commands is None or any(unknown(command) for command in commands)) and git_may_be_copied(project, step):
            return True
    return False


def unknown(command: Command) -> bool:
    """Whether a command is a script of the project, which may call git."""
    return "/" in command.name and not command.name.startswith("/usr")


def old_npm(facts: StageFacts) -> bool:
    """Whether the npm of a stage may be version 7 or 8, by the tag of a node image; unknown counts as yes.

    https://nodejs.org/en/about/previous-releases lists the npm of each release: 15 to 18 brought 7 and 8.
    """
    name, _, tag = (facts.reference or "").partition(":")
    if not (name == "node" or name.endswith("/node")):
        return True
    digits = tag.partition(".")[0].partition("-")[0]
    if not digits.isdecimal():
        return digits in ("fermium", "gallium", "hydrogen")
    return 15 <= int(digits) <= 18
