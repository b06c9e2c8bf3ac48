"""The files of a repository that say how its images are built and run, found by one bounded walk."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hardener.discovery import is_dockerfile_name
from hardener.lazy_pattern import lazy_pattern
from hardener.small_files import content

SKIPPED = frozenset((".git", "node_modules", "vendor", ".venv", "venv", "__pycache__", "site-packages"))
YAML = (".yml", ".yaml")
SCRIPTS = (".sh", ".bash", ".mk", "Makefile", "makefile", "Justfile", "justfile", "Jenkinsfile")
READMES = ("README.md", "readme.md", "README", "README.rst", "README.txt")
# Pages of documentation, which tell how to run an image.
DOCUMENTS = lazy_pattern(r"(?:^|.*/)(?:docs?|documentation|website|wiki)/")
PAGES = (".md", ".mdx", ".rst")
MAXIMUM_PAGES = 300
MAXIMUM_FOLDERS = 4000
MAXIMUM_FILES = 3000
# A key at the start of a line: a Compose file of any name (`docker compose -f local.yml`).
SERVICES = lazy_pattern(rb"^[\"']?services[\"']?[ \t]*:", re.MULTILINE)
RUN = lazy_pattern(rb"\b(?:docker|podman)\s+(?:container\s+)?run\b")
COMPOSE_NAME = lazy_pattern(r"^(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml$")


class Files(NamedTuple):
    """Paths relative to the repository's root: Dockerfiles, YAML files, scripts, READMEs and pages on running it."""

    dockerfiles: tuple[PurePosixPath, ...]
    yaml: tuple[PurePosixPath, ...]
    scripts: tuple[PurePosixPath, ...]


class Contents(NamedTuple):
    """Path and bytes of files, by what stands in them.

    ``compose``: ``services:`` at the top, or of the first format by name.  ``manifests``: of Kubernetes.  ``runs``:
    scripts, CI files, READMEs and pages of documentation with a ``docker run``.
    """

    compose: tuple[tuple[PurePosixPath, bytes], ...]
    manifests: tuple[tuple[PurePosixPath, bytes], ...]
    runs: tuple[tuple[PurePosixPath, bytes], ...]


@lru_cache(maxsize=16)
def files(root: Path) -> Files:
    """Return the files that tell how images are built and run, some thousand at most."""
    dockerfiles: list[str] = []
    yaml: list[str] = []
    scripts: list[str] = []
    pages: list[str] = []
    for here, names in walk(root):
        in_documents = DOCUMENTS.match(here)
        for name in names:
            if name.endswith(YAML):
                yaml.append(here + name)
            elif name.endswith(SCRIPTS) or name in READMES:
                scripts.append(here + name)
            elif in_documents and name.endswith(PAGES):
                pages.append(here + name)
            elif "file" in name.lower() and is_dockerfile_name(name):
                dockerfiles.append(here + name)
    return Files(
        *(
            tuple(map(PurePosixPath, one[:MAXIMUM_FILES]))
            for one in (dockerfiles, yaml, scripts + pages[:MAXIMUM_PAGES])
        )
    )


@lru_cache(maxsize=16)
def walk(root: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each folder (``""`` or ``folder/``, below ``root``) with the names of its files, upper ones first.

    A folder that is no repository may be anybody's home: there the walk ends much sooner.
    """
    limit = MAXIMUM_FOLDERS if (root / ".git").exists() else MAXIMUM_FOLDERS // 20
    folders = [""]
    found: list[tuple[str, tuple[str, ...]]] = []
    for here in folders:  # it grows
        entries = listing(root, here)
        inner = [f"{here}{name}/" for name, is_folder in entries if is_folder and name not in SKIPPED]
        folders += inner[: max(0, limit - len(folders))]
        found.append((here, tuple(name for name, is_folder in entries if not is_folder)))
    return tuple(found)


def listing(root: Path, folder: str) -> list[tuple[str, bool]]:
    """Return name and whether it is a folder of everything in a folder, sorted; nothing where it is closed."""
    try:
        with os.scandir(f"{root}/{folder}") as found:
            return sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
    except OSError:
        return []


@lru_cache(maxsize=16)
def contents(root: Path) -> Contents:
    """Return path and content of the files that may tell how images run, each read once."""
    compose: list[tuple[PurePosixPath, bytes]] = []
    manifests: list[tuple[PurePosixPath, bytes]] = []
    runs: list[tuple[PurePosixPath, bytes]] = []
    found = files(root)
    for file in (*found.yaml, *found.scripts):
        data = content(root / file)
        if (b"docker" in data or b"podman" in data) and RUN.search(data):
            runs.append((file, data))
        if not file.name.endswith(YAML):
            continue
        if (b"services" in data and SERVICES.search(data)) or (
            COMPOSE_NAME.match(file.name) and (b"build" in data or b"image" in data)
        ):
            compose.append((file, data))
        elif b"containers:" in data and b"image:" in data:
            manifests.append((file, data))
    return Contents(tuple(compose), tuple(manifests), tuple(runs))
