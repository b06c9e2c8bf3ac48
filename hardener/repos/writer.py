"""The one place where a run acts on the world: files in place, commits on branches, patch files, pull requests.

Only the driver's own process has a writer, so whatever the workers do twice is done once here.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.project import UnsafePath, inside
from hardener.repos import commit, local
from hardener.repos.clone import fetch_commit, signed_in_for
from hardener.repos.git import GitError
from hardener.repos.journal import Applied
from hardener.repos.message import message
from hardener.repos.scraps import prefix
from hardener.repos.shadow import new_git_directory
from hardener.repos.stops import WriteError
from hardener.writing import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardener.repos.commit import Identity
    from hardener.repos.proposing import Proposer
    from hardener.repos.sources import Source
    from hardener.repos.values import FileChange, Plan

MODES = ("show", "in-place", "branch", "patches", "pull-requests")
SECONDS = 300


@dataclass(frozen=True)
class Writer:
    """What to do with a plan: ``mode`` is one of `MODES`, the rest belongs to it."""

    mode: str
    identity: Identity | None = None
    branch: str = ""
    patches: Path | None = None
    clones: Path | None = None
    proposer: Proposer | None = None

    @property
    def full(self) -> str:
        """Which limit is reached, so that nothing more is handed out, ``""`` where there is none."""
        return self.proposer.full if self.proposer is not None else ""

    def apply(self, plan: Plan) -> Applied:
        """Carry out one plan; raises ``WriteError``, ``Stopped``, or ``OSError`` for a full disk."""
        if self.proposer is not None:
            return Applied(pull=self.proposer.propose(plan))
        if not plan.files or self.mode == "show":
            return Applied()
        try:
            if self.mode == "in-place":
                write_in_place(Path(plan.source.location), plan.files)
                return Applied()
            assert self.identity is not None
            if self.mode == "patches":
                assert self.patches is not None
                return Applied(patch=str(write_patch(self.patches, plan)))
            repository = local.open_repository(self.place(plan))
            made = commit.commit_on_branch(repository, plan, self.branch, message(plan), self.identity)
            return Applied(commit=made, branch=self.branch)
        except (GitError, commit.BranchError, local.UnsafeRepositoryError) as error:
            raise WriteError(str(error)) from error

    def place(self, plan: Plan) -> Path:
        """Return the repository to commit in: the source itself, or a clone of it that is kept."""
        if plan.source.is_local:
            return Path(plan.source.location)
        assert self.clones is not None
        with signed_in_for(plan.source.location, plan.source.forge):
            return kept_clone(self.clones, plan)


def write_in_place(root: Path, files: Iterable[FileChange]) -> None:
    """Write all files or none; one that has its new bytes already (an earlier try) is passed over.

    Raises ``WriteError`` where one is neither as it was read nor as it will be, and ``OSError``.
    """
    prepared: list[tuple[str, Path]] = []
    try:
        for one in files:
            target = inside(root, root / one.path)
            remove_torn(target, one.after)
            now = target.read_bytes()
            if now == one.after:
                continue
            if now != one.before:
                raise WriteError(f"{one.path} was changed meanwhile; nothing was written")
            prepared.append((prepare(target, one.after), target))
        for temporary, target in prepared:
            os.replace(temporary, target)
    except UnsafePath as error:
        raise WriteError(str(error)) from error
    except FileNotFoundError as error:
        raise WriteError(f"{error.filename}: was removed meanwhile; nothing was written") from error
    finally:
        for temporary, _ in prepared:
            with suppress(OSError):
                os.unlink(temporary)


def remove_torn(target: Path, data: bytes) -> None:
    """Remove the temporary files that a killed run left beside ``target``: its name, a beginning of ``data``."""
    form = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
    for name in os.listdir(target.parent):
        if form.fullmatch(name):
            file = target.parent / name
            if file.is_file() and not file.is_symlink() and data.startswith(file.read_bytes()):
                file.unlink()


def write_patch(folder: Path, plan: Plan) -> Path:
    """Write the plan's patch into ``folder``, in one step, and return its path."""
    target = folder / f"{file_name(plan.source)}.patch"
    handle, name = tempfile.mkstemp(prefix=f".{prefix()}", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(plan.patch)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    return target


def file_name(source: Source) -> str:
    """Return a name for files about a repository: readable, of letters that every file system takes, and unique."""
    from hashlib import sha256  # noqa: PLC0415

    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip("-.")[:100]
    return f"{readable}-{sha256(os.fsencode(source.location)).hexdigest()[:8]}"


def kept_clone(folder: Path, plan: Plan) -> Path:
    """Return a clone of ``plan.commit`` in ``folder``, made where it is not there yet; raises ``GitError``."""
    place = folder / f"{file_name(plan.source)}.git"
    url = plan.source.location
    if place.is_dir():
        fetch_commit(url, plan.commit, place, SECONDS)
        return place
    work = Path(tempfile.mkdtemp(prefix=f".{prefix()}", dir=folder))
    try:
        new_git_directory(work)
        fetch_commit(url, plan.commit, work, SECONDS)
        with (work / "config").open("a", encoding="utf-8") as file:
            file.write(f'[remote "origin"]\n\turl = "{url}"\n\tpromisor = true\n\tpartialCloneFilter = blob:none\n')
        os.chmod(work, 0o755)  # noqa: S103  as git makes it
        os.rename(work, place)
    except BaseException:
        import shutil  # noqa: PLC0415

        shutil.rmtree(work, ignore_errors=True)
        raise
    return place
