"""The pure half of a migration: one repository in, its plan out; nothing outside a folder of its own is written.

It may run twice, on another machine, or be killed at any moment: only the driver's writer acts on a plan.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.bulk import Hardened, Pending, harden_file
from hardener.changed_lines import changes as changes_of
from hardener.discovery import find_dockerfiles, is_aside
from hardener.outcome import Outcome
from hardener.project import repository_root
from hardener.repos import clone, commit, local, snapshot
from hardener.repos.codeowners import team_of
from hardener.repos.git import GitError, git, scrubbed
from hardener.repos.message import message
from hardener.repos.scraps import scrap_folder
from hardener.repos.shadow import shadow
from hardener.repos.values import FileChange, FindingPlan, ImagePlan, Kind, Plan, failed
from hardener.settings import ConfigurationError, configured
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from hardener.bulk import Failure
    from hardener.changed_lines import Change
    from hardener.pipeline import Result
    from hardener.repos.values import Task

# What no repository is to blame for; the run stops, and goes on when there is room again.
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


def plan(task: Task) -> Plan:
    """Return the plan for one repository; never raises, whatever is in the repository."""
    started = time.monotonic()
    try:
        folder = scrap_folder()
        try:
            made = with_patch(plan_in(task, folder), task)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except GitError as error:
        made = failed(task.source, str(error), transient=error.transient)
    except local.UnsafeRepositoryError as error:
        made = failed(task.source, str(error))
    except OSError as error:
        of_machine = error.errno in OF_THE_MACHINE
        made = failed(task.source, f"{error.strerror or error}", machine=of_machine)
    except MemoryError:
        made = failed(task.source, f"it needs more than {task.limits.megabytes} MB of memory")
    except RecursionError:
        made = failed(task.source, "its files are nested too deeply")
    except Exception as error:  # noqa: BLE001  one repository must never stop the others, nor show a traceback
        made = failed(task.source, f"{type(error).__name__}: {error}; this is a fault of harden, please report it")
    taken = time.monotonic() - started
    return replace(
        made,
        reason=one_line(made.reason),
        errors=tuple(map(one_line, made.errors)),
        notes=tuple(map(one_line, made.notes)),
        harden_seconds=taken - made.fetch_seconds,
        attempt=task.attempt,
    )


def one_line(text: str) -> str:
    """Return a text without line ends and control characters, and without secrets."""
    return scrubbed("".join(one if one.isprintable() else repr(one)[1:-1] for one in text))


def plan_in(task: Task, folder: Path) -> Plan:
    """Return the plan, using the empty ``folder`` for what is fetched; raises as its parts do."""
    source = task.source
    if not source.is_local:
        return plan_of_url(task, folder)
    path = Path(source.location)
    if not path.is_dir():
        return failed(source, "there is no such folder")
    if not local.is_repository(path):
        if not task.from_work_tree:
            return failed(source, "it is no Git repository; use --in-place or --dry-run --in-place")
        return plan_of_folder(task, path, {})
    repository = local.open_repository(path)
    if task.from_work_tree and repository.work_tree is not None:
        return plan_of_work_tree(task, repository)
    return plan_of_commit(task, repository, folder)


def with_patch(made: Plan, task: Task) -> Plan:
    """Return a plan with its patch, where the task wants one and there is a change; raises ``GitError``."""
    if task.identity is None or not made.files:
        return made
    return replace(made, patch=commit.patch(made, message(made), task.identity))


def plan_of_url(task: Task, folder: Path) -> Plan:
    """Return the plan for a repository that is fetched."""
    started = time.monotonic()
    url = task.source.location
    (folder / "git").mkdir()
    with clone.signed_in_for(url, task.source.forge, task.api_url):
        found = clone.fetch(url, folder / "git", task.limits.seconds, task.branch, task.own_branch)
    taken = time.monotonic() - started
    if found is None:
        return Plan(task.source, Kind.UNCHANGED, "it has no commit yet", fetch_seconds=taken)
    made = plan_of_tree(task, found.git_dir, found.entries, folder / "files", url)
    return replace(made, commit=found.commit, branch=found.branch, has_branch=found.has_other, fetch_seconds=taken)


def plan_of_commit(task: Task, repository: local.Repository, folder: Path) -> Plan:
    """Return the plan for a commit of a local repository: the files as committed, whatever the work tree has."""
    head = local.head(repository)
    branch = task.branch or (head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else "")
    with shadow(repository, folder) as git_dir:
        try:
            name = f"refs/heads/{task.branch}" if task.branch else "HEAD"
            found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", git_dir=git_dir)
        except GitError:
            if task.branch:
                return failed(task.source, f"it has no branch {task.branch}")
            return Plan(task.source, Kind.UNCHANGED, "it has no commit yet")
        oid = found.decode("ascii").strip()
        entries = tuple(snapshot.tree(git_dir, oid, sizes=True))
        made = plan_of_tree(task, git_dir, entries, folder / "files", local.remote_url(repository))
    return replace(made, commit=oid, branch=branch)


def plan_of_tree(task: Task, git_dir: Path, entries: tuple[snapshot.Entry, ...], folder: Path, origin: str) -> Plan:
    """Return the plan for the files of a tree, laid out in ``folder``."""
    if not snapshot.has_dockerfile(entries):
        return Plan(task.source, Kind.UNCHANGED, "it has no Dockerfile")
    folder.mkdir()
    laid_out = snapshot.lay_out(git_dir, entries, folder, origin)
    made = plan_of_folder(task, folder, laid_out.entries)
    return replace(made, notes=(*laid_out.notes, *made.notes))


def plan_of_work_tree(task: Task, repository: local.Repository) -> Plan:
    """Return the plan for the files of a work tree as they are; a dirty one is refused, unless that is allowed."""
    assert repository.work_tree is not None
    made = plan_of_folder(task, repository.work_tree, {})
    if task.allow_dirty or not made.files:
        return made
    with shadow(repository) as git_dir:
        changed, tracked = index_of(repository, git_dir)
    new = [one.path for one in made.files if one.path not in tracked]
    if changed or new:
        what = f"{changed[0]} is changed" if changed else f"{new[0]} is not in Git"
        return failed(task.source, f"the work tree is not clean: {what}; commit or stash it, or use --allow-dirty")
    return made


def index_of(repository: local.Repository, git_dir: Path) -> tuple[list[str], frozenset[str]]:
    """Return the paths that differ from HEAD, and all that Git knows.

    The files that Git does not know are not looked for: that would read ignore files, of which one may be a pipe.
    """
    words = (f"--work-tree={repository.work_tree}", "-c", "core.bare=false")
    extra = {"GIT_INDEX_FILE": str(repository.git_dir / "index")}
    options = ("--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames")
    status = git(*words, "status", *options, git_dir=git_dir, extra=extra)
    known = git(*words, "ls-files", "-z", git_dir=git_dir, extra=extra)
    changed = [os.fsdecode(record[3:]) for record in status.split(b"\0") if record]
    return changed, frozenset(os.fsdecode(path) for path in known.split(b"\0"))


def plan_of_folder(task: Task, folder: Path, entries: Mapping[str, snapshot.Entry]) -> Plan:
    """Return the plan for every Dockerfile below a folder, but for those of a repository inside it."""
    found = [file for file in find_dockerfiles(folder) if repository_root(file.parent) in (folder, None)]
    names = {file: file.relative_to(folder).as_posix() for file in found}
    aside = [file for file in found if task.skip_aside and is_aside(names[file])]
    declined = [file for file in found if file not in aside and task.asks_first and wants_none(file.parent)]
    files = [file for file in found if file not in (*aside, *declined)]
    overrides = dict(task.overrides)
    pending: Pending = {}
    results = [harden_file(file, folder, overrides, pending) for file in files]
    hardened = [one.result for one in results if isinstance(one, Hardened)]
    errors = [told(one, folder) for one in results if not isinstance(one, Hardened)]
    changed: dict[str, FileChange] = {}
    for result in hardened:
        for path, (before, after) in result.changed.items():
            name = str(path)
            first = changed[name].before if name in changed else before
            changed[name] = FileChange(name, mode_of(folder, name, entries), first, after)
    images = tuple(image for result in hardened for image in images_of(result))
    return Plan(
        task.source,
        *outcome(images, errors, bool(changed), len(files)),
        team=task.source.team
        or team_of(folder, [str(one.before.dockerfile_path) for one in hardened])
        or task.source.namespace,
        files=tuple(changed.values()),
        images=images,
        findings=tuple(finding for result in hardened for finding in findings_of(result)),
        errors=tuple(errors),
        aside=tuple(names[file] for file in aside),
        declined=tuple(names[file] for file in declined),
        dockerfiles=len(files),
    )


def wants_none(folder: Path) -> bool:
    """Whether the configuration for a folder wants no pull requests; one that cannot be read says nothing here."""
    try:
        return not configured(folder).pull_requests
    except ConfigurationError:
        return False


def outcome(images: Iterable[ImagePlan], errors: list[str], changed: bool, dockerfiles: int) -> tuple[Kind, str]:
    """Return what became of a repository, and why in one line."""
    images = list(images)
    counts = {
        name: sum(one.outcome == name for one in images) for name in ("switched", "prepared", "already", "manual")
    }
    parts = [f"{number} {name}" for name, number in counts.items() if number]
    text = ", ".join(parts) + (f", {len(errors)} unreadable" if errors else "")
    if changed:
        return Kind.CHANGED, text
    if errors:
        return Kind.FAILED, errors[0] + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
    if counts["manual"]:
        first = next(one for one in images if one.outcome == "manual")
        return Kind.MANUAL, f"{first.path}:{first.line}: {first.reason}" + (
            f" (and {counts['manual'] - 1} more)" if counts["manual"] > 1 else ""
        )
    return Kind.UNCHANGED, (f"no image runs as root: {text}" if dockerfiles else "it has no Dockerfile")


def told(failure: Hardened | Failure, folder: Path) -> str:
    """Return the line of a failure, with its path as the repository names it."""
    return str(failure).replace(f"{folder}/", "").replace(f"{os.path.relpath(folder)}/", "")


def mode_of(folder: Path, path: str, entries: Mapping[str, snapshot.Entry]) -> str:
    """Return Git's mode of a file."""
    if path in entries:
        return entries[path].mode
    try:
        return snapshot.EXECUTABLE if os.stat(folder / path).st_mode & 0o100 else snapshot.FILE
    except OSError:
        return snapshot.FILE


def images_of(result: Result) -> Iterable[ImagePlan]:
    """Yield the answer for each image that people build of one Dockerfile."""
    for stage in result.stages:
        found = stage.verdict
        facts = stage_facts(result.before.dockerfile, stage.index)
        prepared = found.outcome is Outcome.SWITCH and not stage.applied
        yield ImagePlan(
            str(result.before.dockerfile_path),
            found.line,
            stage.name,
            facts.reference or result.before.dockerfile.stages[facts.chain[0] if facts.chain else stage.index].base,
            "prepared" if prepared else found.outcome.value,
            found.reason,
            found.way_out,
            found.migrations if stage.applied else (),
        )


def findings_of(result: Result) -> Iterable[FindingPlan]:
    """Yield what the fixers found in one Dockerfile and the files around it: one for each file of a change."""
    places: dict[int, list[Change]] = {}
    for change in changes_of(result):
        places.setdefault(id(change.finding), []).append(change)
    for one in result.findings:
        for change in places.get(id(one), ()):
            yield FindingPlan(str(change.path), change.old, one.fixer, one.reason, applied=True, after=change.new)
        if id(one) not in places:
            yield FindingPlan(str(one.path), one.line, one.fixer, one.reason, bool(one.edits))


def in_repository(path: str) -> str:
    """Return a path with its ``.`` and ``..`` resolved."""
    return posixpath.normpath(path)


def with_overrides(overrides: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return overrides in the form that a task carries."""
    return tuple(sorted(overrides.items()))
