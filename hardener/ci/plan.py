"""What `harden ci` does to one repository: which files it makes or extends, and what it found there already."""

from __future__ import annotations

import difflib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener.ci import github, gitlab, pipelines
from hardener.ci.images import images
from hardener.edit import splice
from hardener.project import inside
from hardener.report import lines_of, quoted
from hardener.writing import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

RefusedError = gitlab.NotUnderstoodError


class Plan(NamedTuple):
    """The files to write (path relative to the root: their bytes), and a line for each thing to be said."""

    files: Mapping[PurePosixPath, bytes]
    lines: tuple[str, ...]


def plan(root: Path, service: str, install: str) -> Plan:
    """Return what is to be written for ``service`` (github, gitlab); raises `RefusedError` where it is not certain."""
    scans, checks = pipelines.scans(root), pipelines.checks(root)
    lines = [f"{one.file}:{one.line}: scans an image already: {one.name}" for one in scans]
    lines += [f"{one.file}:{one.line}: runs harden --check already" for one in checks]
    wanted = () if scans else images(root)
    if not scans and not wanted:
        lines.append("no Dockerfile for Linux is here that can be read: there is no image to scan")
    if not (wanted or (not checks and scans)):
        return Plan({}, tuple(lines))
    if service == "github":
        path = github.free_path(root)
        text = github.workflow(root, wanted, install, check=not checks)
        lines.append(f"{path}: {added(len(wanted), check=not checks)}; a file of its own, for its own permissions")
        return Plan({path: text.encode()}, tuple(lines))
    written: dict[PurePosixPath, bytes] = {}
    for one in gitlab.files(root, wanted, install, check=not checks):
        written[one.path] = splice((root / one.path).read_bytes(), one.edits) if one.edits else one.text.encode()
        what = f"includes {gitlab.INCLUDED}" if one.edits else added(len(wanted), check=not checks)
        lines.append(f"{one.path}: {what}")
    return Plan(written, tuple(lines))


def added(number: int, *, check: bool) -> str:
    """Return what a new file does."""
    parts = ["harden --check"] if check else []
    parts += [f"a scan of {number} image{'s' if number > 1 else ''} with Trivy"] if number else []
    return f"new: {' and '.join(parts)}"


def diff(root: Path, files: Mapping[PurePosixPath, bytes]) -> bytes:
    """Return the change as a patch that ``git apply`` takes; a new file is one against ``/dev/null``."""
    text: list[str] = []
    for path, data in files.items():
        is_new = not (root / path).exists()
        before = [] if is_new else lines_of((root / path).read_bytes())
        name = "/dev/null" if is_new else quoted(f"a/{path}")
        lines = difflib.unified_diff(before, lines_of(data), name, quoted(f"b/{path}"))
        text += [line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines]
    return "".join(text).encode("utf-8", "surrogateescape")


def write(root: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    """Write the files, each in one step; raises ``OSError``, or ``UnsafePath`` for a link that leaves ``root``."""
    for path, data in files.items():
        target = inside(root, root / path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.touch()
        Path(prepare(target, data)).replace(target)
