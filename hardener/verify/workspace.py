"""Copies of a project in which it is hardened, built and mounted; the user's own tree is only read."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener.bulk import Failure, Hardened, harden_paths
from hardener.project import project_root, repository_root
from hardener.writing import prepare, write

if TYPE_CHECKING:
    from collections.abc import Mapping


class WorkspaceError(Exception):
    """A tree that cannot be copied or hardened; the message is one line."""


def root_of(path: Path, *, has_context: bool = False) -> Path:
    """Return the root that PATH, a folder or a Dockerfile, is copied with: the repository, else the folder alone.

    Only a build context that was named makes the current folder the project: that may be somebody's whole home.
    """
    folder = (path if path.is_dir() else path.parent).absolute()
    return project_root(folder) if has_context else repository_root(folder) or folder


def copy(source: Path, target: Path, *, linked: bool = False) -> Path:
    """Copy a tree with modes and links, without what is neither file nor folder; raises ``WorkspaceError``.

    ``linked`` makes hard links, which is fast: for trees that are only built.  What is written into a copy here takes
    the place of a file (`replace_file`); only a container that mounts a folder could write into the user's file.
    """

    def special(folder: str, names: list[str]) -> set[str]:
        found = {name for name in names if not is_ordinary(os.path.join(folder, name))}  # noqa: PTH118
        return found | ({target.name} if Path(folder) == target.parent else set())

    try:
        shutil.copytree(source, target, symlinks=True, ignore=special, copy_function=link if linked else shutil.copy2)
    except (OSError, shutil.Error) as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) and error.args[0] else error
        raise WorkspaceError(f"{source} cannot be copied: {reason}") from None
    return target


def link(source: str, target: str) -> str:
    """Make a hard link, a copy where there can be none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
    return target


def replace_file(file: Path, data: bytes) -> None:
    """Write a file anew, in place of the old one: that may be a link to the user's."""
    if file.exists():
        os.replace(prepare(file, data), file)  # noqa: PTH105
    else:
        file.write_bytes(data)


def is_ordinary(path: str) -> bool:
    """Whether a path is a file, a folder or a link: no pipe, socket or device."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def harden_in(root: Path, path: Path, overrides: Mapping[str, Any]) -> list[Hardened | Failure]:
    """Harden what is at ``path`` in a tree of our own, in place, with names as the user knows them."""
    marked = root / ".git"
    made = not marked.exists()
    if made:
        marked.mkdir()  # the root of the copy is the project's root
    try:
        found: list[Hardened | Failure] = []
        for one in harden_paths([root / path], overrides):
            if isinstance(one, Hardened):
                write(one.result)
                found.append(Hardened(relative(one.name, root), one.result, one.folder))
            else:
                found.append(Failure(relative(one.name, root), one.line, one.message.replace(f"{root}/", "")))
    finally:
        if made:
            marked.rmdir()
    return found


def relative(name: str, root: Path) -> str:
    """Return a path of a copy as it is in the project."""
    try:
        return str(Path(name).absolute().relative_to(root))
    except ValueError:
        return name


def of_revision(root: Path, revision: str, target: Path) -> Path:
    """Write the tree of a Git revision to ``target``; raises ``WorkspaceError``."""
    target.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(dir=target.parent) as archive:
        command = ["git", "-C", str(root), "archive", "--format=tar", f"--output={archive.name}", revision]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise WorkspaceError(f"{revision} is neither a folder nor a Git revision: {reason[-1] if reason else ''}")
        with tarfile.open(archive.name) as tar:
            tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # it is Git's own archive
            tar.extractall(target)  # noqa: S202
    return target
