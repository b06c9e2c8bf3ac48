"""An immutable snapshot of one Dockerfile and the files around it."""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener.dockerfile import Dockerfile, parse
from hardener.edit import Edit, splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardener.image import ImageFacts
    from hardener.outcome import Verdict

# Nothing that a fixer reads is larger; a bigger file in a build context is data.
READ_LIMIT = 4 * 1024 * 1024


class UnsafePath(Exception):
    """A file that must not be read or written: a symbolic link that leaves the project."""


@dataclass(frozen=True, eq=False)
class Project:
    """One Dockerfile and its surroundings, as they were when it was opened.

    ``files`` maps paths relative to ``root`` to bytes: the Dockerfile always, others once an edit changed them.
    Everything else is read from ``root`` when a fixer asks, so opening a project costs one file.  ``root`` is
    ``None`` for bytes that stand alone (standard input); then nothing else exists.
    """

    dockerfile_path: PurePosixPath
    files: Mapping[PurePosixPath, bytes]
    root: Path | None = None
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    """What was decided of each stage before any edit; the fixers' own edits do not put it in question."""
    images: tuple[tuple[str, ImageFacts], ...] = ()
    """What is known of base images besides ``images.toml``, by the text of FROM; see `hardener.bases`."""
    read_cache: dict[PurePosixPath, bytes | None] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: nothing that can be read or parsed again."""
        kept = {name: self.__dict__[name] for name in ("dockerfile_path", "files", "root", "verdicts", "images")}
        return {**kept, "read_cache": {}}

    @cached_property
    def dockerfile(self) -> Dockerfile:
        """The parsed Dockerfile; raises ``ParseError``."""
        parsed = parse(self.files[self.dockerfile_path])
        return replace(parsed, images=self.images) if self.images else parsed

    @cached_property
    def context(self) -> PurePosixPath:
        """The build context as far as the Dockerfile alone tells: its own folder, relative to ``root``."""
        return self.dockerfile_path.parent

    @cached_property
    def folders(self) -> tuple[PurePosixPath, ...]:
        """The Dockerfile's folder and all above it up to ``root``, relative to that."""
        return tuple(dict.fromkeys((self.context, *self.context.parents)))

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return the bytes of a file relative to ``root``, or ``None`` where there is no readable file."""
        if path in self.files:
            return self.files[path]
        if path in self.read_cache:
            return self.read_cache[path]
        text = posixpath.normpath(path)
        if text != str(path):
            return self.read(PurePosixPath(text))
        self.read_cache[path] = found = self._read_disk(text)
        return found

    def _read_disk(self, path: str) -> bytes | None:
        folder, _, name = path.rpartition("/")
        if self.root is None or path.startswith(("/", "../")):
            return None
        if name not in entries(f"{self.root}/{folder}" if folder else str(self.root)):  # most are not there
            return None
        try:
            file = inside(self.root, self.root / path)
            if not file.is_file() or file.stat().st_size > READ_LIMIT:
                return None
            return file.read_bytes()
        except (OSError, UnsafePath, ValueError):
            return None

    def exists(self, path: PurePosixPath | str) -> bool:
        """Whether a file or folder is there, relative to ``root``."""
        return self.root is not None and os.path.lexists(os.path.join(self.root, path))

    def apply(self, edits: Iterable[Edit]) -> Project:
        """Return the snapshot with all ``edits`` made; raises ``EditConflict`` where two overlap."""
        by_path: dict[PurePosixPath, list[Edit]] = {}
        for edit in edits:
            by_path.setdefault(edit.path, []).append(edit)
        changed = dict(self.files)
        for path, group in by_path.items():
            changed[path] = splice(self.read(path) or b"", group)
        return replace(self, files=changed)


def inside(root: Path, file: Path) -> Path:
    """Return ``file`` with symbolic links followed; raises ``UnsafePath`` where that leaves ``root``."""
    folder, name = os.path.split(file)
    resolved = os.path.join(real_folder(folder), name)
    if os.path.islink(resolved):
        resolved = os.path.realpath(resolved)
    if not resolved.startswith(os.path.join(real_folder(str(root)), "")):
        message = f"is a symbolic link to {resolved}, outside the project; harden that file itself"
        raise UnsafePath(message)
    return Path(resolved)


@lru_cache(maxsize=4096)
def entries(folder: str) -> frozenset[str]:
    """Return the names in a folder; asked for many names that are mostly not there, once for each folder."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


@lru_cache(maxsize=4096)
def real_folder(folder: str) -> str:
    """Return a folder's path with symbolic links followed; what is above it is looked at once for many."""
    above, name = os.path.split(folder)
    if name in ("", "..") or not above:
        return os.path.realpath(folder)
    path = os.path.join(real_folder(above), name)
    return os.path.realpath(path) if os.path.islink(path) else path


def project_root(folder: Path) -> Path:
    """Return the nearest folder at or above ``folder`` that holds ``.git``.

    Without one, the current folder where ``folder`` is below it (so that the paths of a diff fit), else
    ``folder`` itself.
    """
    repository = repository_root(folder)
    if repository is not None:
        return repository
    current = Path.cwd()
    return current if folder.is_relative_to(current) else folder


@lru_cache(maxsize=4096)
def repository_root(folder: Path) -> Path | None:
    """Return the nearest folder at or above ``folder`` that holds ``.git``, ``None`` without one."""
    if os.path.exists(f"{folder}/.git"):
        return folder
    return repository_root(folder.parent) if folder != folder.parent else None


def normal(path: Path) -> Path:
    """Return a path as ``os.path.abspath`` makes it: itself, whose hash is known already, where it is one."""
    text = os.path.abspath(path)
    return path if str(path) == text else Path(text)


def open_project(dockerfile: Path, root: Path | None = None) -> Project:
    """Read one Dockerfile from disk.

    ``root`` bounds what may be read and written; by default the repository that holds the file.  Raises
    ``OSError`` for an unreadable file and ``UnsafePath`` for a link that leaves ``root``.
    """
    file = normal(dockerfile)
    root = project_root(file.parent) if root is None else normal(root)
    relative = PurePosixPath(file.relative_to(root).as_posix())
    real = inside(root, file)
    if not stat.S_ISREG(real.stat().st_mode):
        raise OSError("it is no regular file")  # a pipe would wait for ever
    return Project(relative, {relative: real.read_bytes()}, root)


def project_from_bytes(data: bytes, name: str = "Dockerfile") -> Project:
    """Return a project that is one Dockerfile and nothing else."""
    path = PurePosixPath(name)
    return Project(path, {path: data})
