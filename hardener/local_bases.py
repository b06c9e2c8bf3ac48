"""What an image is that another Dockerfile of the same repository builds: its facts, told as `ImageFacts`.

Its own Dockerfile is asked the questions of `hardener.reasons` that concern what is handed down; nothing in it is
ever edited on account of the image that is built FROM it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import (
    accounts,
    base_reasons,
    context,
    directories,
    ports,
    provenance,
    reasons,
    root_tools,
    start_reasons,
    user_steps,
)
from hardener.image import ImageFacts, KnownUser
from hardener.inherited import Inherited
from hardener.outcome import Outcome
from hardener.paths import SYSTEM_TREES, below
from hardener.stages import is_root, stage_facts
from hardener.state_directories import state_directories
from hardener.variables import assignments

if TYPE_CHECKING:
    from hardener.outcome import Verdict
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts, Step

# What is asked of the image as it is, and what of the way it starts.
CONTENT = (
    base_reasons.is_windows,
    base_reasons.holds_another_system,
    base_reasons.has_triggers,
    base_reasons.takes_user_from_variable,
    base_reasons.has_foreign_shell,
    start_reasons.installs_root_package,
    start_reasons.brings_docker_client,
    reasons.uses_root_home,
    reasons.writes_where_it_cannot,
    reasons.hides_from_others,
)
START = (
    reasons.start_needs_root,
    start_reasons.starts_foreign_program,
    start_reasons.starts_program_of_another_image,
    reasons.rebuilds_at_start,
    reasons.listens_below_1024,
)


def described(project: Project, index: int, settings: Settings) -> ImageFacts | None:
    """Return what the stage at ``index`` is as a base image, ``None`` where its own base or its USER is not known."""
    facts = stage_facts(project.dockerfile, index)
    family = accounts.family_of(facts)
    if facts.user is None or not family:
        return None
    base = facts.image
    origin = str(project.dockerfile_path)
    known = ImageFacts(
        family=family,
        source=origin,
        user="" if is_root(facts.user) else facts.user,
        users=(*(base.users if base is not None else ()), *made_users(facts)),
        ports=base.ports if base is not None else (),
        writable=base.writable if base is not None else (),
        has_cmd=starts(facts),
        home=base.home if base is not None else "",
        variables=environment(facts),
        inherited=handed_down(project, facts, origin),
    )
    if not is_root(facts.user):
        return known._replace(outcome="already", reason=f"{origin} ends with USER {facts.user}")
    return with_outcome(project, facts, settings, known)


def with_outcome(project: Project, facts: StageFacts, settings: Settings, known: ImageFacts) -> ImageFacts:
    """Return what is known of an image that ends as root, with what stands against another user."""
    special = base_reasons.has_special_base(project, facts, settings)
    if special is not None and facts.image is not None:
        outcome = facts.image.outcome if special.outcome is Outcome.ALREADY or not started_here(facts) else "root"
        return without_reference(known._replace(outcome=outcome, reason=special.reason, way_out=special.way_out))
    for question in CONTENT:
        answer = question(project, facts, settings)
        if answer is not None:
            return behind_entrypoint(project, facts, settings, spoilt(project, known, "root", answer))
    found = spoilt_directory(facts)
    if found is not None:
        image = known._replace(outcome="root", reason=f"{known.source}{found[0]}", way_out=found[1])
        return behind_entrypoint(project, facts, settings, image)
    for question in START if started_here(facts) else ():
        answer = question(project, facts, settings)
        if answer is not None and answer.outcome is Outcome.ALREADY and facts.entrypoint is not None:
            return spoilt(project, known, "drops", answer)
        if answer is not None:
            return spoilt(project, known, "server", answer)
    moved = next(iter(ports.moves(project, facts, settings)), None) if started_here(facts) else None
    if moved is not None:
        way_out = f"move it in {known.source} first"
        return known._replace(outcome="server", reason=f"{known.source} listens on port {moved[0]}", way_out=way_out)
    return known


def spoilt(project: Project, known: ImageFacts, outcome: str, answer: Verdict) -> ImageFacts:
    """Return what is known of an image with one answer as the reason against another user."""
    reason = f"its base image is built by {project.dockerfile_path}:{answer.line}, and {answer.reason}"
    return known._replace(outcome=outcome, reason=reason, way_out=answer.way_out)


def behind_entrypoint(project: Project, facts: StageFacts, settings: Settings, known: ImageFacts) -> ImageFacts:
    """Return what is known of an image, with the reason why its ENTRYPOINT is root's, if there is one, put first."""
    answer = reasons.start_needs_root(project, facts, settings) if facts.entrypoint is not None else None
    if answer is None or answer.outcome is not Outcome.MANUAL:
        return known
    first = spoilt(project, known, known.outcome, answer)
    return first._replace(
        reason=f"{first.reason}; besides, {known.reason}", way_out=f"{answer.way_out}; {known.way_out}"
    )


def without_reference(known: ImageFacts) -> ImageFacts:
    """Return the facts without the name of the image below, whose special treatment does not fit a changed one."""
    return known._replace(inherited=known.inherited._replace(reference="")) if known.inherited else known


def spoilt_directory(facts: StageFacts) -> tuple[str, str] | None:
    """Return why files or a VOLUME of a base image would be root's in the image FROM it, and the way out."""
    given = directories.already_owned(facts)
    for step in facts.steps:
        if step.instruction.keyword == "VOLUME" and not all(word in given for word in step.instruction.operands):
            line = step.instruction.line
            return f":{line} declares a VOLUME that belongs to root", "give it an owner there, before VOLUME"
        if copies_folder(step):
            text = f":{step.instruction.line} copies the application, which would stay root's"
            return text, "COPY --chown it there, to the user that runs it"
    return None


def copies_folder(step: Step) -> bool:
    """Whether a step copies a folder of the build context, and gives it to root, to where applications are."""
    instruction = step.instruction
    if instruction.keyword not in ("COPY", "ADD") or any(context.flag(instruction, one) for one in ("from", "chown")):
        return False
    target = context.destination(step)
    sources, _ = context.copy_arguments(instruction)
    if target is not None and (below(target, (*SYSTEM_TREES, "/tmp", "/root"))):  # noqa: S108  a path in an image
        return False
    names = (source.strip("\"'").rstrip("/").rpartition("/")[2] for source in sources)
    return any("." not in name.strip(".") for name in names)


def handed_down(project: Project, facts: StageFacts, origin: str) -> Inherited:
    """Return what a stage hands down to an image that is built FROM it."""
    below_it = facts.image.inherited if facts.image is not None else None
    owned = (*directories.working_directories(facts), *((facts.workdir,) if facts.workdir not in (None, "/") else ()))
    runs = [step for step in facts.steps if step.instruction.keyword == "RUN"]
    given = directories.already_owned(facts)
    state = [one for one in state_directories(project, facts) if one not in given]
    made = accounts.made_accounts(facts)
    return Inherited(
        origin=origin,
        reference=facts.reference or "",
        workdir=facts.workdir,
        entrypoint=facts.entrypoint is not None or (below_it is not None and below_it.entrypoint),
        starts=starts(facts),
        application=provenance.copies_application(facts) or (below_it is not None and below_it.application),
        reserved=(*(below_it.reserved if below_it is not None else ()), *((one.name, one.number) for one in made)),
        state=tuple(dict.fromkeys((*(below_it.state if below_it is not None else ()), *state))),
        filled=any(user_steps.touches_application(step, owned) for step in runs)
        or (below_it is not None and below_it.filled),
        tools=root_tools.handed_down(project, facts),
    )


def environment(facts: StageFacts) -> tuple[tuple[str, str | None], ...]:
    """Return the ENV that a stage ends with, without its ARGs."""
    names = {name for name, _ in facts.image.variables} if facts.image is not None else set()
    for step in facts.steps:
        if step.instruction.keyword == "ENV":
            names |= assignments(step.instruction, step.variables).keys()
    return tuple((name, facts.variables.get(name)) for name in sorted(names))


def started_here(facts: StageFacts) -> bool:
    """Whether a Dockerfile says itself what its image starts."""
    return facts.entrypoint is not None or facts.command is not None


def starts(facts: StageFacts) -> bool:
    """Whether an image has an application to start, not just a shell: its own, or that of its own base image."""
    image = facts.image
    if started_here(facts) or image is None:
        return started_here(facts)
    return image.inherited.starts if image.inherited is not None else image.outcome == "already" and image.has_cmd


def made_users(facts: StageFacts) -> tuple[KnownUser, ...]:
    """Return the accounts with fixed ids that the RUN steps of a stage make."""
    made = accounts.made_accounts(facts)
    found = []
    for one in made:
        account = accounts.own_account(facts, made, one.name) if not one.is_group else None
        if account is not None and account.uid is not None and account.gid is not None:
            found.append(KnownUser(one.name, account.uid, account.gid, f"/home/{one.name}"))
    return tuple(found)
