"""One verification from beginning to end: copies, units, verdicts, and what is written where."""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hardener.bulk import Failure, Hardened
from hardener.needs import Needs
from hardener.outcome import Outcome as Answer
from hardener.report import lines_of, summary
from hardener.verify import report
from hardener.verify.compare import BROKEN, UNJUDGED
from hardener.verify.learning import Learnt, Task, after_tree, strip_syntax, verify_unit, write_needs
from hardener.verify.runner import Wishes
from hardener.verify.tunnels import Tunnels
from hardener.verify.units import Making, compose_files, dockerfiles_below, units
from hardener.verify.workspace import copy, of_revision, root_of

if TYPE_CHECKING:
    from hardener.verify.engine import Engine
    from hardener.verify.learning import Outcome
    from hardener.verify.probes import Probe
    from hardener.verify.progress import Progress
    from hardener.verify.registry import Run


class Request(NamedTuple):
    """What the command line asks."""

    path: Path
    probes: tuple[Probe, ...] | None
    options: dict[str, Any]
    wishes: Wishes
    overrides: dict[str, Any]


@dataclass
class Finished:
    """The exit code, the report as data, the Dockerfiles (relative to ``root``) that passed, and those that did not."""

    code: int
    document: dict[str, Any] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    root: Path = Path()
    verified: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By Dockerfile that passed, the files that its unit was verified with and that differ from the user's."""


def run(request: Request, engine: Engine, this: Run, progress: Progress) -> Finished:
    """Verify everything at PATH."""
    path = Path(request.path).absolute()
    root = root_of(path, has_context=bool(request.wishes.context))
    relative = path.relative_to(root)
    trees = this.folder / "trees"
    trees.mkdir()
    against = request.options.get("against")
    progress.step("copy the project")
    compose = () if request.options["no_compose"] else request.options["compose"] or None
    linked = not compose_files(root, relative, compose)
    before = copied_before(root, against, relative, trees / "before", linked=linked)
    task = Task(
        root, before, relative, bool(against), request.options["attempts"] if request.options["learn"] else 0,
        request.probes, request.options["without_syntax_line"], linked,
    )  # fmt: skip
    if task.plain_syntax:
        strip_syntax(before)
    is_published = request.wishes.publish_address != Wishes().publish_address
    tunnels = Tunnels(engine, this.label_options) if engine.is_remote and not is_published else None
    making = Making(engine, this, request.wishes, request.overrides, progress.show(), tunnels)
    progress.step("harden a copy")
    tree, results = after_tree(task, making, trees / "after", Learnt())
    changed = to_verify(task, tree, results)
    left = left_alone(results, progress, task)
    found, notes = units(tree, relative, changed, engine, compose)
    for note in notes:
        progress.line(f"note: {note}")
    outcomes: list[Outcome] = []
    for unit in found:
        outcome = verify_unit(unit, task, making, tree, results, partial(step_of, progress, unit.name))
        outcomes.append(outcome)
        lines = list(report.text(outcome))
        for line in lines if not request.options["quiet"] else [f"{unit.name}: {outcome.attempt.judgement.verdict}"]:
            progress.line(line)
        keep(outcome, task, progress)
    if not found and not any(isinstance(one, Failure) for one in results):
        progress.line("nothing was switched, so there is nothing to verify")
    return finished(task, outcomes, results, report.document(outcomes, this.id, about(engine), left))


def step_of(progress: Progress, name: str, text: str) -> None:
    """Show what is done now for one unit."""
    progress.step(f"{name}: {text}")


def copied_before(root: Path, against: str | None, relative: Path, target: Path, *, linked: bool) -> Path:
    """Return our copy of the side before: the project itself, another folder, or a Git revision."""
    if against is None:
        return copy(root, target, linked=linked)
    if not Path(against).is_dir():
        return of_revision(root, against, target)
    other = Path(against).absolute()
    if root_of(other) == root:  # a folder beside PATH in the same repository stands for PATH
        target = copy(root, target, linked=linked)
        shutil.rmtree(target / relative)
        copy(other, target / relative, linked=linked)
        return target
    return copy(other, target, linked=linked)


def to_verify(task: Task, tree: Path, results: list[Hardened | Failure]) -> list[str]:
    """Return the Dockerfiles that are to be verified: those that changed; of a tree that was given, all."""
    if task.given:
        return [one for one in dockerfiles_below(tree, task.path) if (task.before / one).is_file()]
    return [one.name for one in results if isinstance(one, Hardened) and one.result.changed]


def left_alone(results: list[Hardened | Failure], progress: Progress, task: Task) -> list[dict[str, str]]:
    """Say what was not switched and what could not be read; return it as data."""
    found = []
    for one in results:
        if isinstance(one, Failure):
            progress.line(f"error: {one}")
            continue
        if one.result.changed or task.given:
            continue
        for line in summary(one.result, one.name):
            if not progress.quiet:
                progress.line(line)
        found += [
            {"dockerfile": one.name, "outcome": stage.verdict.outcome.value, "reason": stage.verdict.reason}
            for stage in one.result.stages
            if stage.verdict.outcome is not Answer.SWITCH
        ]
    return found


def keep(outcome: Outcome, task: Task, progress: Progress) -> None:
    """Write what was learnt into the project's configuration, and show what mends a tree that was given."""
    if not task.attempts:
        return
    learnt = outcome.learnt
    if outcome.passed:
        for dockerfile, needs in learnt.needs.items():
            file = write_needs(task.source, dockerfile, needs, learnt.reasons.get(dockerfile, []))
            progress.line(f"    written to {file}")
        if task.given and not learnt.is_empty:
            progress.clear()
            click.echo(patch(task.source, outcome.tree), nl=False)
    elif outcome.left:
        for dockerfile in outcome.unit.dockerfiles:
            file = write_needs(task.source, dockerfile, Needs(leave=outcome.left), [])
            progress.line(f"    written to {file}")


def patch(old: Path, new: Path) -> str:
    """Return what differs between two trees as a patch that ``git apply`` takes, without files that are new."""
    text: list[str] = []
    for file in sorted(path for path in new.rglob("*") if path.is_file() and ".git" not in path.parts):
        name = file.relative_to(new)
        other = old / name
        if other.is_file() and other.read_bytes() != file.read_bytes():
            lines = difflib.unified_diff(
                lines_of(other.read_bytes()), lines_of(file.read_bytes()), f"a/{name}", f"b/{name}"
            )
            text += [line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines]
    return "".join(text)


def finished(
    task: Task, outcomes: list[Outcome], results: list[Hardened | Failure], document: dict[str, Any]
) -> Finished:
    """Return exit code and what passed."""
    verdicts = {one.attempt.judgement.verdict for one in outcomes}
    code = 1 if BROKEN in verdicts else 2 if UNJUDGED in verdicts else 0
    if any(isinstance(one, Failure) for one in results):
        code = code or 2
    passed = tuple(file for one in outcomes if one.passed for file in files_of(one))
    failed = tuple(file for one in outcomes if not one.passed for file in files_of(one))
    return Finished(code, document, passed, failed, task.source, verified(outcomes))


def files_of(outcome: Outcome) -> tuple[str, ...]:
    """Return the Dockerfiles and Compose files of a unit that the hardener has a result for, in its order."""
    unit = outcome.unit
    own = {*unit.dockerfiles, *((unit.folder / one).as_posix() for one in unit.compose)}
    return tuple(one.name for one in outcome.results if isinstance(one, Hardened) and one.name in own)


def verified(outcomes: list[Outcome]) -> dict[str, dict[str, bytes]]:
    """Return the files that each Dockerfile that passed was verified with, where the hardener changed them."""
    found: dict[str, dict[str, bytes]] = {}
    for outcome in outcomes:
        for one in outcome.results if outcome.passed else ():
            if isinstance(one, Hardened) and one.name in files_of(outcome):
                found[one.name] = {str(path): new for path, (_, new) in one.result.changed.items()}
    return found


def about(engine: Engine) -> dict[str, Any]:
    """Return an engine as data."""
    return {"kind": engine.kind, "version": engine.version, "builder": engine.builder, "compose": engine.has_compose}
