"""Verifies a unit, and with ``--learn`` mends what broke: names the cause, configures what mends it, tries again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener.bulk import Hardened
from hardener.needs import Needs
from hardener.verify import again, compose_file
from hardener.verify.causes import Cause, causes_of
from hardener.verify.compare import BROKEN
from hardener.verify.configuration import configuration_file, known_needs, with_needs
from hardener.verify.remedies import evidence, leave_reason, proposals
from hardener.verify.session import Attempt, observe_after, observe_before
from hardener.verify.stacks import ComposeRunner
from hardener.verify.units import runner_for
from hardener.verify.workspace import copy, harden_in, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.bulk import Failure
    from hardener.migration import Migration
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Runner
    from hardener.verify.starting import Before
    from hardener.verify.units import Making, Unit


@dataclass(frozen=True)
class Task:
    """What is asked of one verification.

    ``source`` is the user's root, ``before`` our copy of the side before, ``path`` PATH relative to both; ``given``
    tells that the tree at ``source`` was hardened already, by whomever.
    """

    source: Path
    before: Path
    path: Path
    given: bool
    attempts: int
    probes: tuple[Probe, ...] | None
    plain_syntax: bool = False
    linked: bool = False
    """Whether copies may be hard links: nothing of them is mounted anywhere."""


@dataclass
class Learnt:
    """What the tries taught so far: needs and their reasons by Dockerfile, and whether USER is written anew."""

    needs: dict[str, Needs] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    tried: set[tuple[str, Needs, bool]] = field(default_factory=set)

    @property
    def last(self) -> str:
        """What was learnt last, in one sentence."""
        return list(self.reasons.values())[-1][-1]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learnt."""
        return not self.needs and not self.again


@dataclass
class Outcome:
    """What became of one unit: both sides, the judgement, the causes of what broke, and what was learnt."""

    unit: Unit
    before: Before
    attempt: Attempt
    causes: tuple[Cause, ...]
    learnt: Learnt
    tree: Path
    tries: int = 1
    results: list[Hardened | Failure] = field(default_factory=list)
    left: str = ""
    """Why the image is to be left alone, where nothing mended it."""

    @property
    def passed(self) -> bool:
        """Whether what was judged last may be used."""
        return self.attempt.judgement.verdict in ("same", "better")


def after_tree(task: Task, making: Making, folder: Path, learnt: Learnt) -> tuple[Path, list[Hardened | Failure]]:
    """Make a copy of the side after: configured with what was learnt, and hardened unless it was given as it is."""
    tree = copy(task.source, folder, linked=task.linked)
    for dockerfile, needs in learnt.needs.items():
        write_needs(tree, dockerfile, needs, learnt.reasons.get(dockerfile, []))
    overrides: dict[str, Any] = dict(making.overrides)
    for dockerfile in learnt.again:
        overrides = {**again.without_user(tree, dockerfile), **overrides}
    found: list[Hardened | Failure] = []
    if not task.given or not learnt.is_empty:
        found = harden_in(tree, task.path, overrides)
    if task.plain_syntax:
        strip_syntax(tree)
    return tree, found


def write_needs(root: Path, dockerfile: str, needs: Needs, reasons: list[str]) -> Path:
    """Write what one Dockerfile needs into the configuration that counts for it; returns the file."""
    file = configuration_file((root / dockerfile).parent, root)
    data = file.read_bytes() if file.is_file() else b""
    together = known_needs(file, dockerfile).merged(needs)
    comments = [f"learnt by `harden verify --learn`: {one}" for one in dict.fromkeys(reasons)]
    replace_file(file, with_needs(data, file.name, dockerfile, together, comments))
    return file


def strip_syntax(root: Path) -> None:
    """Take ``# syntax=`` out of every Dockerfile of our own copy: a builder without a registry cannot fetch it."""
    from hardener.discovery import find_dockerfiles  # noqa: PLC0415

    for file in find_dockerfiles(root):
        lines = file.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines):
            if not line.startswith(b"#"):
                break
            if line[1:].strip().lower().replace(b" ", b"").startswith(b"syntax="):
                lines[number] = b"# harden verify: the syntax line is left out here\n"
                replace_file(file, b"".join(lines))
                break


def verify_unit(
    unit: Unit, task: Task, making: Making, tree: Path, results: list[Hardened | Failure], steps: Callable[[str], None]
) -> Outcome:
    """Run one unit before and after; with more than one attempt, mend what broke and run it again."""
    before = observe_before(runner_for(unit, task.before, "before", making), task.probes, steps)
    learnt = Learnt()
    trees, number = tree, 1
    while True:
        runner = runner_for(unit, trees, f"after-{number}", making)
        printed = migrations_of(results, unit)
        migrations = None if task.given and not printed else printed  # by hand: what any such image needs
        attempt = observe_after(runner, before, migrations, making.wishes.tolerance, making.wishes.allowed_log)
        causes = causes_of(attempt.judgement.reasons) if attempt.judgement.verdict == BROKEN else ()
        outcome = Outcome(unit, before, attempt, causes, learnt, trees, number, results)
        if attempt.judgement.verdict != BROKEN or number > task.attempts:
            break
        if not learn(outcome, unit, runner, task):
            break
        number += 1
        steps(f"try {number}: {learnt.last}")
        folder = task.before.parent / f"after-{number}-{unit.name.replace('/', '-')}"
        trees, results = after_tree(task, making, folder, learnt)
        obstacle = not_hardened(results, learnt)
        if obstacle:
            outcome.left = obstacle
            return outcome
    if attempt.judgement.verdict == BROKEN and task.attempts:
        outcome.left = leave_reason(causes, attempt.judgement.reasons[0].text)
    return outcome


def not_hardened(results: list[Hardened | Failure], learnt: Learnt) -> str:
    """Return why a Dockerfile that was to be hardened from root again was not, ``""`` where it was."""
    for one in results:
        if isinstance(one, Hardened) and one.name in learnt.again:
            for stage in one.result.stages:
                if not stage.applied:
                    return stage.verdict.reason
    return ""


def learn(outcome: Outcome, unit: Unit, runner: Runner, task: Task) -> bool:
    """Add one untried remedy for each broken service to what was learnt; whether there was any."""
    learnt = outcome.learnt
    found = False
    for service in dict.fromkeys(one.service for one in outcome.causes):
        dockerfile = dockerfile_of(runner, service, unit)
        own = tuple(one for one in outcome.causes if one.service == service)
        name = service or runner.services[0]
        old = outcome.before.side.scenarios.get("start", {}).get(name)
        new = outcome.attempt.side.scenarios.get("start", {}).get(name)
        image = outcome.before.side.images.get(name)
        known = evidence(old, new, image, learnt.needs.get(dockerfile, Needs()), given=task.given)
        for remedy in proposals(own, known):
            key = (dockerfile, remedy.needs, remedy.again)
            is_new = remedy.again and dockerfile not in learnt.again
            is_new = is_new or learnt.needs.get(dockerfile, Needs()).merged(remedy.needs) != learnt.needs.get(
                dockerfile, Needs()
            )
            if key in learnt.tried or not is_new:
                continue
            learnt.tried.add(key)
            if remedy.again:
                learnt.again.add(dockerfile)
            if remedy.needs != Needs():
                learnt.needs[dockerfile] = learnt.needs.get(dockerfile, Needs()).merged(remedy.needs)
            learnt.reasons.setdefault(dockerfile, []).append(remedy.text)
            found = True
            break
    return found


def dockerfile_of(runner: Runner, service: str, unit: Unit) -> str:
    """Return the Dockerfile of a service, relative to the project's root."""
    if isinstance(runner, ComposeRunner) and service:
        file = compose_file.dockerfile_of((runner.config.get("services") or {}).get(service, {}))
        if file is not None and file.is_relative_to(runner.place.root):
            return file.relative_to(runner.place.root).as_posix()
    return unit.dockerfiles[0]


def migrations_of(results: list[Hardened | Failure], unit: Unit) -> list[Migration]:
    """Return the one-time commands that the hardener printed for a unit's Dockerfiles."""
    return [
        one
        for hardened in results
        if isinstance(hardened, Hardened) and PurePosixPath(hardened.name).as_posix() in unit.dockerfiles
        for stage in hardened.result.stages
        if stage.applied
        for one in stage.verdict.migrations
    ]


__all__ = ["Learnt", "Outcome", "Task", "after_tree", "verify_unit", "write_needs"]
