"""Writes the files of a result: all of them or none, each in one step."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from hardener.project import inside

if TYPE_CHECKING:
    from pathlib import Path

    from hardener.pipeline import Result


def write(result: Result) -> tuple[Path, ...]:
    """Write every changed file of a result and return the paths written.

    Each goes to a temporary file in its own folder first, with the mode of the original, is flushed to disk, and
    only when all are there do they take the place of the originals.  Raises ``OSError`` or ``UnsafePath``; then
    nothing was replaced (or, where the disk fails between two replacements, only whole files were).
    """
    root = result.before.root
    if root is None:
        return ()
    prepared: list[tuple[str, Path]] = []
    try:
        for path, (_, data) in result.changed.items():
            target = inside(root, root / path)
            prepared.append((prepare(target, data), target))
        for temporary, target in prepared:
            os.replace(temporary, target)
    except BaseException:
        for temporary, _ in prepared:
            with suppress(OSError):
                os.unlink(temporary)
        raise
    return tuple(target for _, target in prepared)


def write_file(target: Path, data: bytes) -> None:
    """Write one file that need not be there before, in one step; what is no regular file (/dev/stdout) is written to.

    Raises ``OSError``; then a file that was there has its old content still.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.write(data)
        return
    target = target.resolve()  # the file that a link points to, not the link
    temporary = prepare(target, data)
    try:
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def mode_of(target: Path) -> int:
    """Return the permissions that a file has, or, where it is new, those that the umask leaves."""
    try:
        return target.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def prepare(target: Path, data: bytes) -> str:
    """Write ``data`` beside ``target`` with its mode and return the temporary file's path."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode_of(target))
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    return name
