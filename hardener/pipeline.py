"""Runs the fixers in order over one project, and checks what came out before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardener.decision import targets, verdict
from hardener.dockerfile import ParseError
from hardener.edit import Applicability, EditConflict, Finding
from hardener.fixers import FIXERS
from hardener.outcome import Outcome, Verdict
from hardener.pragmas import is_ignored
from hardener.settings import Settings
from hardener.stages import is_root, stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePosixPath

    from hardener.edit import Edit
    from hardener.project import Project


class SelfCheckError(Exception):
    """The result failed a check; nothing may be written.  Always a fault of the program: please report it."""


@dataclass(frozen=True)
class StageResult:
    """What became of one stage that people build: its index (0-based), its name (``""`` without one), its verdict.

    ``applied`` tells whether a stage to switch really is not root in the result; it is where ``--select``,
    ``--ignore`` or a comment kept the USER out.
    """

    index: int
    name: str
    verdict: Verdict
    applied: bool


@dataclass(frozen=True)
class Result:
    """A project before and after, what became of its stages, and every finding in the order of the fixers."""

    before: Project
    after: Project
    stages: tuple[StageResult, ...]
    findings: tuple[Finding, ...]

    @property
    def changed(self) -> Mapping[PurePosixPath, tuple[bytes, bytes]]:
        """The files that differ, as ``{path: (bytes before, bytes after)}``."""
        return {
            path: (self.before.read(path) or b"", data)
            for path, data in self.after.files.items()
            if data != self.before.read(path)
        }


def harden(project: Project, settings: Settings | None = None) -> Result:
    """Return the hardened project; nothing is written.

    Raises ``ParseError`` for a Dockerfile that cannot be read, and ``SelfCheckError`` where the result would not
    be what was meant.
    """
    settings = Settings() if settings is None else settings
    verdicts = {index: verdict(project, index, settings) for index in targets(project)}
    after, findings = apply_fixers(project, settings)
    if after is not project:
        check(project, after, settings)
    stages = tuple(
        StageResult(
            index,
            project.dockerfile.stages[index].name or "",
            found,
            stage_facts(after.dockerfile, index).runs_as_root is False,
        )
        for index, found in verdicts.items()
    )
    return Result(project, after, stages, findings)


def apply_fixers(project: Project, settings: Settings) -> tuple[Project, tuple[Finding, ...]]:
    """Return the project after one pass of the fixers, and what they found."""
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
        if twin is None or after_bytes(after, twin.span).rstrip(b"\r\n") != after_bytes(before, one.span).rstrip(
            b"\r\n"
        ):
            raise SelfCheckError(f"line {one.line} would change although nothing in it was edited")


def after_bytes(project: Project, span: tuple[int, int]) -> bytes:
    """Return the bytes of a span of the project's Dockerfile."""
    return project.dockerfile.data[span[0] : span[1]]


def check(before: Project, after: Project, settings: Settings) -> None:
    """Raise ``SelfCheckError`` unless the result is stable, keeps its stages and names only users that exist."""
    old, new = before.dockerfile, after.dockerfile
    if [(stage.base, stage.name) for stage in old.stages] != [(stage.base, stage.name) for stage in new.stages]:
        raise SelfCheckError("the stages would change")
    again, _ = apply_fixers(after, settings)
    if again is not after and again.files != after.files:
        raise SelfCheckError("a second run would change it again")
    check_users(after)


def check_users(project: Project) -> None:
    """Raise ``SelfCheckError`` where a USER or a ``--chown`` that was written names somebody unknown."""
    from hardener.accounts import known_account, made_accounts  # noqa: PLC0415  only for names

    for stage in project.dockerfile.stages:
        facts = stage_facts(project.dockerfile, stage.index)
        if not facts.user or is_root(facts.user) or facts.user.partition(":")[0].isdecimal():
            continue
        name = facts.user.partition(":")[0]
        made = {one.name for one in made_accounts(facts)}
        if name in made or known_account(facts, name) or (facts.image is not None and facts.image.user == name):
            continue
        if facts.user_step is not None and facts.user_step.instruction.value == name:
            continue  # it stood there before
        raise SelfCheckError(f"USER {name} exists nowhere in stage {stage.index}")


__all__ = ["EditConflict", "Outcome", "Result", "SelfCheckError", "StageResult", "harden"]
