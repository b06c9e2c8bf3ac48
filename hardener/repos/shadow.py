"""A Git directory of our own in front of somebody's repository: its objects and branches, none of its configuration.

What a repository may start is named in its ``config``, ``hooks``, ``info`` and, for linked work trees,
``config.worktree``: file-system monitors, hooks, filters, diff drivers, SSH commands, aliases.  The shadow has a
configuration of its own and symbolic links to the rest, as ``git-new-workdir`` (git's contrib) makes them, so git never
sees the others, in no version.  It also needs no ``safe.directory``: nothing of the owner's is trusted.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hardener.repos.local import UnsafeRepositoryError, formats, head, small_file
from hardener.repos.scraps import scrap_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hardener.repos.local import Repository

OBJECT_FORMATS = ("sha1", "sha256")
REF_STORAGES = ("files", "reftable")


@contextmanager
def shadow(repository: Repository, folder: Path | None = None) -> Iterator[Path]:
    """Yield a Git directory that reads and writes the objects and branches of ``repository``, and nothing else of it.

    ``folder`` is where it is made for a while.  Raises ``UnsafeRepositoryError`` for a format that nobody knows.
    """
    objects, storage = formats(repository)
    if objects not in OBJECT_FORMATS or storage not in REF_STORAGES:
        raise UnsafeRepositoryError(f"its format is not known: objects {objects}, refs {storage}")
    place = scrap_folder(folder)
    try:
        (place / "config").write_text(configuration(objects, storage), encoding="ascii")
        (place / "HEAD").write_text(f"{head(repository)}\n", encoding="utf-8", errors="surrogateescape")
        for name in ("objects", "refs", *(("reftable",) if storage == "reftable" else ())):
            (place / name).symlink_to(os.path.abspath(repository.common / name))
        if (repository.common / "packed-refs").exists():
            (place / "packed-refs").symlink_to(os.path.abspath(repository.common / "packed-refs"))
        shallow = small_file(repository.common / "shallow")
        if shallow:
            (place / "shallow").write_text(shallow, encoding="ascii", errors="replace")
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def configuration(objects: str, storage: str) -> str:
    """Return the configuration of a shadow: the formats, and that it has no work tree unless one is named."""
    extensions = [f"\tobjectFormat = {objects}\n"] if objects != "sha1" else []
    extensions += [f"\trefStorage = {storage}\n"] if storage != "files" else []
    text = f"[core]\n\trepositoryFormatVersion = {int(bool(extensions))}\n\tbare = true\n\tlogAllRefUpdates = false\n"
    return text + ("".join(["[extensions]\n", *extensions]) if extensions else "")


@contextmanager
def scratch(folder: Path | None = None, objects: str = "sha1") -> Iterator[Path]:
    """Yield an empty Git directory of our own, for a while."""
    place = scrap_folder(folder)
    try:
        new_git_directory(place, objects)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def new_git_directory(place: Path, objects: str = "sha1") -> None:
    """Make the folder ``place`` an empty bare repository: what ``git init`` does, without templates and hooks."""
    (place / "config").write_text(configuration(objects, "files"), encoding="ascii")
    (place / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
    for name in ("objects/info", "objects/pack", "refs/heads"):
        (place / name).mkdir(parents=True, exist_ok=True)
