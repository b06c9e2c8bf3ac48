"""Repositories on this machine, found without asking git, so that none of their configuration is believed.

The layout is git's own: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

LARGEST = 1024 * 1024
OBJECT_FORMAT = re.compile(r"^\s*objectformat\s*=\s*\"?(\w+)", re.IGNORECASE | re.MULTILINE)
REF_STORAGE = re.compile(r"^\s*refstorage\s*=\s*\"?(\w+)", re.IGNORECASE | re.MULTILINE)
REMOTE_URL = re.compile(r"^\s*url\s*=\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)


class UnsafeRepositoryError(Exception):
    """A repository that must not be used as it is; one line that says why."""


class Repository(NamedTuple):
    """A repository on disk.

    ``work_tree`` is ``None`` for a bare one.  ``git_dir`` has HEAD and the index, ``common`` objects and branches;
    they differ in a linked work tree (https://git-scm.com/docs/git-worktree).
    """

    work_tree: Path | None
    git_dir: Path
    common: Path


def is_repository(folder: Path) -> bool:
    """Whether a folder is a work tree or a bare repository."""
    return os.path.lexists(folder / ".git") or is_git_directory(folder)


def is_git_directory(folder: Path) -> bool:
    """Whether a folder looks like ``.git``, by what git itself looks at."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def open_repository(folder: Path) -> Repository:
    """Return the repository at ``folder``; raises ``UnsafeRepositoryError`` for one that leads elsewhere."""
    dot_git = folder / ".git"
    if dot_git.is_symlink():
        target = shown(os.readlink(dot_git))
        raise UnsafeRepositoryError(f".git is a symbolic link to {target}; name that repository itself")
    if dot_git.is_dir():
        return checked(Repository(folder, dot_git, dot_git))
    if os.path.lexists(dot_git):
        return checked(linked(folder, dot_git))
    if is_git_directory(folder):
        return checked(Repository(None, folder, folder))
    raise UnsafeRepositoryError("it is no Git repository")


def linked(folder: Path, dot_git: Path) -> Repository:
    """Return the repository of a ``.git`` file: a linked work tree or a submodule that its repository knows too."""
    text = small_file(dot_git)
    if not text.startswith("gitdir: "):
        raise UnsafeRepositoryError(".git is neither a folder nor names one")
    git_dir = Path(os.path.realpath(folder / text[len("gitdir: ") :].strip()))
    back = small_file(git_dir / "gitdir").strip()
    if back and os.path.realpath(git_dir / back) == os.path.realpath(dot_git):
        common = Path(os.path.realpath(git_dir / small_file(git_dir / "commondir").strip()))
        if git_dir.parent == common / "worktrees":
            return Repository(folder, git_dir, common)
    parents = Path(os.path.realpath(folder)).parents
    if is_git_directory(git_dir) and any(git_dir.is_relative_to(one / ".git" / "modules") for one in parents):
        return Repository(folder, git_dir, git_dir)
    place = shown(str(git_dir))
    raise UnsafeRepositoryError(f".git leads to {place}, which does not know this folder; nothing was read there")


def checked(repository: Repository) -> Repository:
    """Return the repository if its objects and branches lie in it; raises ``UnsafeRepositoryError``."""
    for name in ("objects", "refs", "refs/heads"):
        place = repository.common / name
        if place.is_symlink():
            target = shown(os.readlink(place))
            raise UnsafeRepositoryError(f"its {name} is a symbolic link to {target}; nothing was read there")
    for name in ("objects", "refs"):
        if not (repository.common / name).is_dir():
            raise UnsafeRepositoryError(f"it is no whole Git repository: {name} is missing")
    if os.path.lexists(repository.common / "objects" / "info" / "alternates"):
        # A hostile one would carry another repository's files into a patch.
        raise UnsafeRepositoryError(
            "it borrows objects from another repository (alternates); `git repack -ad` it first"
        )
    return repository


def head(repository: Repository) -> str:
    """Return what HEAD says: ``ref: refs/heads/main`` or a commit id."""
    place = repository.git_dir / "HEAD"
    if place.is_symlink():  # as old versions of git wrote it
        return f"ref: {os.readlink(place)}"
    return small_file(place).strip()


def checked_out(repository: Repository) -> frozenset[str]:
    """Return the full names of the branches that this and the linked work trees have checked out."""
    heads = [head(repository), small_file(repository.common / "HEAD").strip()]
    try:
        others = sorted(os.listdir(repository.common / "worktrees"))
    except OSError:
        others = []
    heads += [small_file(repository.common / "worktrees" / name / "HEAD").strip() for name in others]
    return frozenset(one.removeprefix("ref: ") for one in heads if one.startswith("ref: "))


def formats(repository: Repository) -> tuple[str, str]:
    """Return the object format (``sha1``) and the storage of the refs (``files``)."""
    text = small_file(repository.common / "config")
    objects, refs = OBJECT_FORMAT.search(text), REF_STORAGE.search(text)
    return (objects[1].lower() if objects else "sha1"), (refs[1].lower() if refs else "files")


def remote_url(repository: Repository) -> str:
    """Return the URL of the first remote, without a user name or password; ``""`` where there is none."""
    found = REMOTE_URL.search(small_file(repository.common / "config"))
    return re.sub(r"(://)[^/@]*@", r"\1", found[1]) if found else ""


def small_file(file: Path) -> str:
    """Return the text of a small regular file that is no symbolic link, ``""`` of anything else."""
    try:
        status = os.lstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return ""
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def shown(path: str) -> str:
    """Return a path fit for a message of one line."""
    return path if path.isprintable() else ascii(path)[1:-1]
