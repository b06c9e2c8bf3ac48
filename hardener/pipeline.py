"""Runs the fixers in order over one project, and checks what came out before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from hardener.accounts import known_account, made_accounts
from hardener.bases import known_images
from hardener.decision import targets, verdict
from hardener.dockerfile import ParseError
from hardener.edit import Applicability, EditConflict, Finding
from hardener.outcome import Outcome, Unit, Verdict
from hardener.pragmas import is_ignored
from hardener.servers import variant_of
from hardener.settings import Settings
from hardener.stages import is_root, stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePosixPath

    from hardener.dockerfile import Instruction
    from hardener.edit import Edit
    from hardener.project import Project


class SelfCheckError(Exception):
    """The result failed a check; nothing may be written.  Always a fault of the program: please report it."""


@dataclass(frozen=True, eq=False)
class StageResult:
    """What became of one stage that people build: its index (0-based), its name (``""`` without one), its verdict.

    ``applied`` tells whether a stage to switch really is not root in the result; it is where ``--select``,
    ``--ignore`` or a comment kept the USER out.
    """

    index: int
    name: str
    verdict: Verdict
    applied: bool


class Result(NamedTuple):
    """A project before and after, what became of its stages, and every finding in the order of the fixers."""

    before: Project
    after: Project
    stages: tuple[StageResult, ...]
    findings: tuple[Finding, ...]
    units: tuple[Unit, ...] = ()
    """For a file that starts images (its path stands in for the Dockerfile's): its services or containers."""
    fixer: str = ""
    """For such a file: the name of what looked at it, as its findings have it."""

    @property
    def changed(self) -> Mapping[PurePosixPath, tuple[bytes, bytes]]:
        """The files that differ, as ``{path: (bytes before, bytes after)}``."""
        if self.after is self.before:
            return {}
        old = self.before.files
        touched = (path for path, data in self.after.files.items() if old.get(path) is not data)
        pairs = ((path, self.before.read(path) or b"", self.after.files[path]) for path in touched)
        return {path: (before, after) for path, before, after in pairs if before != after}


def harden(project: Project, settings: Settings | None = None) -> Result:
    """Return the hardened project; nothing is written.

    Raises ``ParseError`` for a Dockerfile that cannot be read, and ``SelfCheckError`` where the result would not
    be what was meant.
    """
    settings = (Settings() if settings is None else settings).of(project.dockerfile_path)
    indices = targets(project)
    images = known_images(project, settings, indices)
    project = replace(project, images=images) if images else project
    verdicts = {index: verdict(project, index, settings) for index in indices}
    after, findings = project, tuple[Finding, ...]()
    pending = verdicts if may_change(verdicts, settings) else {}
    while pending:
        decided = replace(after, verdicts=pending)
        result, found = apply_fixers(decided, settings)
        findings += found
        if result is decided:
            break
        after = replace(result, verdicts={})
        pending = freed(after, verdicts, settings)
        verdicts |= {index: one for index, one in pending.items() if verdicts[index].outcome is Outcome.MANUAL}
    if after is not project:
        check(project, after, settings)
    stages = tuple(
        StageResult(
            index,
            project.dockerfile.stages[index].name or "",
            found,
            is_applied(after, index, found, settings),
        )
        for index, found in verdicts.items()
    )
    return Result(project, after, stages, findings)


def may_change(verdicts: Mapping[int, Verdict], settings: Settings) -> bool:
    """Whether a fixer may find anything: they look at stages to switch, or at what the configuration names."""
    return bool(settings.dockerfiles) or any(one.outcome is Outcome.SWITCH for one in verdicts.values())


def freed(after: Project, verdicts: Mapping[int, Verdict], settings: Settings) -> dict[int, Verdict]:
    """Return the new verdicts where a stage that was left alone can be switched now, else nothing.

    Two images may share what stood in the way of one of them: the source that binds the port moved with the other.
    """
    if all(one.outcome is not Outcome.MANUAL for one in verdicts.values()):
        return {}
    found = {index: verdict(after, index, settings) for index in verdicts}
    is_new = any(found[index].outcome is Outcome.SWITCH is not one.outcome for index, one in verdicts.items())
    return {index: found[index]._replace(line=one.line) for index, one in verdicts.items()} if is_new else {}


def is_applied(after: Project, index: int, found: Verdict, settings: Settings) -> bool:
    """Whether a stage is not root in the result: by its USER, or, where it starts as root still, by its entrypoint."""
    if found.kept:
        return verdict(after, index, settings).outcome is Outcome.ALREADY
    return stage_facts(after.dockerfile, index).runs_as_root is False


def apply_fixers(project: Project, settings: Settings) -> tuple[Project, tuple[Finding, ...]]:
    """Return the project after one pass of the fixers, and what they found."""
    from hardener.fixers import FIXERS  # noqa: PLC0415  most images are left as they are

    findings: list[Finding] = []
    for fixer in FIXERS:
        if not settings.runs(fixer.__name__):
            continue
        found = [
            one for one in fixer(project, settings) if not is_ignored(project.dockerfile, one.line, fixer.__name__)
        ]
        findings += found
        edits = [edit for one in found if one.applicability is Applicability.SAFE for edit in one.edits]
        if edits:
            after = project.apply(edits)
            check_untouched(project, after, edits)
            project = after
    return project, tuple(findings)


def check_untouched(before: Project, after: Project, edits: Iterable[Edit]) -> None:
    """Raise ``SelfCheckError`` unless every instruction that no edit touches is an instruction still, byte for byte."""
    path = before.dockerfile_path
    own = sorted((edit for edit in edits if edit.path == path), key=lambda edit: (edit.start, edit.stop))
    try:
        places = {one.span.start: one for one in after.dockerfile.instructions}
    except ParseError as error:
        raise SelfCheckError(f"the result cannot be read: {error}") from error
    shift = position = 0
    for one in before.dockerfile.instructions:
        while position < len(own) and own[position].stop <= one.span.start:
            shift += len(own[position].text) - (own[position].stop - own[position].start)
            position += 1
        if position < len(own) and own[position].start < one.span.stop:
            continue
        twin = places.get(one.span.start + shift)
        if twin is None or source(after, twin) != source(before, one):
            raise SelfCheckError(f"line {one.line} would change although nothing in it was edited")


def source(project: Project, instruction: Instruction) -> bytes:
    """Return the bytes of an instruction without its last line's ending, which an insertion at the end may add."""
    return project.dockerfile.data[instruction.span.start : instruction.span.stop].rstrip(b"\r\n")


def check(before: Project, after: Project, settings: Settings) -> None:
    """Raise ``SelfCheckError`` unless the result is stable, keeps its stages and names only users that exist."""
    old, new = before.dockerfile, after.dockerfile
    swaps = {stage.index: variant_of(stage_facts(old, stage.index), settings) for stage in old.stages}
    kept = [((stage.base, swaps[stage.index]), stage.name) for stage in old.stages]
    if len(kept) != len(new.stages) or any(
        stage.base not in bases or stage.name != name for (bases, name), stage in zip(kept, new.stages, strict=True)
    ):
        raise SelfCheckError("the stages would change")
    again, _ = apply_fixers(after, settings)
    if again is not after and again.files != after.files:
        raise SelfCheckError("a second run would change it again")
    check_users(before, after)
    check_entrypoints(before, after, settings)


def check_users(before: Project, after: Project) -> None:
    """Raise ``SelfCheckError`` where a USER or a ``--chown`` that was written names somebody unknown."""
    old = {name for stage in before.dockerfile.stages for name in named_users(before, stage.index)}
    for stage in after.dockerfile.stages:
        facts = stage_facts(after.dockerfile, stage.index)
        there = {one.name for one in made_accounts(facts)}
        there |= {facts.image.user.partition(":")[0]} if facts.image is not None else set()
        for name in named_users(after, stage.index) - old:
            if name not in there and known_account(facts, name) is None:
                raise SelfCheckError(f"the user {name} exists nowhere in stage {stage.index}")


def check_entrypoints(before: Project, after: Project, settings: Settings) -> None:
    """Raise ``SelfCheckError`` where a stage goes on as root although its entrypoint was to drop it."""
    for index in targets(before):
        kept = verdict(before, index, settings).kept
        if (
            kept
            and settings.runs("keep_root_entrypoint")
            and not is_applied(after, index, verdict(before, index, settings), settings)
        ):
            raise SelfCheckError(f"stage {index} would go on as root")


def named_users(project: Project, index: int) -> set[str]:
    """Return the names (not numbers, not root) that USER and ``--chown`` use in a stage."""
    facts = stage_facts(project.dockerfile, index)
    texts = [facts.user or ""]
    for step in facts.own_steps:
        texts += [one.value or "" for one in step.instruction.flags if one.name == "chown"]
    names = {text.partition(":")[0] for text in texts if not is_root(text)}
    return {name for name in names if not name.isdecimal() and "$" not in name}


__all__ = ["EditConflict", "Outcome", "Result", "SelfCheckError", "StageResult", "harden"]
