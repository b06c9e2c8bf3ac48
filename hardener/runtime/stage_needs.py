"""What the image of a stage needs at run time: its user once it is hardened, capabilities, writable paths, gains."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hardener.accounts import known_account, made_accounts
from hardener.outcome import Outcome
from hardener.root_entrypoint import knowledge as entrypoint_knowledge
from hardener.runtime.gains import gains_of
from hardener.runtime.needs import ANY, Needs, needs_of_image
from hardener.runtime.stage_writes import writes_of
from hardener.stages import is_root, stage_facts

if TYPE_CHECKING:
    from hardener.outcome import Verdict
    from hardener.project import Project
    from hardener.stages import StageFacts

# What the entrypoint of `keep_root_entrypoint` needs until it has given root up: see `hardener.root_entrypoint`.
ENTRYPOINT = ("CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID")


def needs_of_stage(project: Project, index: int, verdict: Verdict | None = None) -> Needs:
    """Return what the stage ``index`` (0-based) of a project needs, as the project's Dockerfile stands.

    Hand in the project as it is when it is built: hardened, where that is written too.  ``verdict`` is what became of
    the stage, for what is said where it starts as root.
    """
    facts = stage_facts(project.dockerfile, index)
    gains, gains_unknown = gains_of(project, facts)
    unknown = (("gains", gains_unknown),) if gains is None else ()
    if facts.runs_as_root is None:
        text = "which user it runs as is not known"
        return Needs(None, gains=gains, unknown=((ANY, text), *unknown))
    if facts.runs_as_root:
        return as_root(facts, verdict, gains, unknown)
    user = numbers(facts)
    found = Needs(False, user, capabilities=(), gains=gains, unknown=unknown)
    if not user.replace(":", "").isdecimal() or ":" not in user:
        return replace(found, unknown=(*unknown, ("writes", f"the numbers of the user {user} are not known")))
    writes, missing = writes_of(project, facts, user, empty_home(facts, user))
    return replace(found, writes=writes, unknown=(*unknown, *((("writes", missing),) if writes is None else ())))


def as_root(
    facts: StageFacts, verdict: Verdict | None, gains: str | None, unknown: tuple[tuple[str, str], ...]
) -> Needs:
    """Return the needs of a stage that starts as root."""
    if verdict is not None and verdict.outcome is Outcome.SWITCH and verdict.kept:
        source = str(entrypoint_knowledge().get("source", "hardener/root_entrypoint.toml"))
        text = "its entrypoint gives its data away at every start"
        return Needs(
            True,
            capabilities=ENTRYPOINT,
            gains=gains,
            unknown=(*unknown, ("writes", text)),
            sources=(("capabilities", source),),
        )
    reason = verdict.reason if verdict is not None else "it starts as root"
    if facts.image is not None and facts.image.outcome == "drops" and facts.entrypoint is None and facts.reference:
        words = facts.command.instruction.json if facts.command is not None else ()
        command = None if words is None else tuple(one.text for one in words)
        base = needs_of_image(facts.reference, command if command is not None else ("?",))
        text = "files were added to its image"
        return replace(
            base,
            gains=gains or base.gains,
            runs_as=None,
            writes=None,
            unknown=(*((key, why) for key, why in base.unknown if key != "writes"), ("writes", text)),
        )
    return Needs(True, gains=gains, unknown=(("capabilities", reason), ("writes", reason), *unknown))


def numbers(facts: StageFacts) -> str:
    """Return the user of a stage that is not root, as ``uid:gid`` where both numbers are known."""
    assert facts.user is not None
    name, _, group = facts.user.partition(":")
    known = known_account(facts, name)
    made = next((one for one in made_accounts(facts) if not one.is_group and one.name == name), None)
    uid = name if name.isdecimal() else str(known.uid) if known is not None else made and made.number
    if group.isdecimal():
        gid: object = group
    elif group:
        gid = next((one.number for one in made_accounts(facts) if one.is_group and one.name == group), None)
        gid = known.gid if gid is None and known is not None and group == known.user else gid
    else:
        gid = known.gid if known is not None else "0" if name.isdecimal() and made is None else None
    return facts.user if uid is None or gid is None else f"{uid}:{gid}"


def empty_home(facts: StageFacts, user: str) -> str | None:
    """Return the home folder of the account where a RUN of the Dockerfile makes it and nothing else is put there."""
    uid = user.partition(":")[0]
    makers = [one for one in made_accounts(facts) if not one.is_group and str(one.number) == uid]
    if len(makers) != 1 or is_root(user) or "HOME" in facts.variables:
        return None
    home = f"/home/{makers[0].name}"
    text = b"".join(
        step.dockerfile.data[step.instruction.span.start : step.instruction.span.stop] for step in facts.steps
    )
    mentioned = text.count(home.encode()) - text.count(b"--home " + home.encode()) - text.count(b"-d " + home.encode())
    return None if mentioned else home
