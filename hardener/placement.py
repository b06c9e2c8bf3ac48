"""Where the new lines of a stage go, and which of its steps then run as the new user."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener.decision import targets, verdict
from hardener.lines import line_start
from hardener.outcome import Outcome, Verdict
from hardener.stages import START, StageFacts, is_root, stage_facts
from hardener.user_steps import tail_as_user

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import Step

FILE_STEPS = frozenset(("RUN", "COPY", "ADD", "WORKDIR", "VOLUME", "USER", "SHELL", "ONBUILD"))


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
    """Return the stages to switch, in order: those that people build and that can be switched."""
    return _switched(project, settings)


@lru_cache(maxsize=64)
def _switched(project: Project, settings: Settings) -> tuple[Switched, ...]:
    found: list[Switched] = []
    for index in targets(project):
        answer = verdict(project, index, settings)
        if answer.outcome is Outcome.SWITCH:
            found.append(Switched(stage_facts(project.dockerfile, index), answer))
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
    if user_at is not None and is_root(own[user_at].user or "") and own[user_at].instruction.value:
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
