"""Uses of a port outside the Dockerfile: sources that bind or read it, and files that reach it from outside."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hardener import compose, context, deploy_ports, repository_files
from hardener.discovery import find_dockerfiles
from hardener.small_files import MAXIMUM_SIZE, content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts

# How programs read an environment variable: Node, Python, Go, Ruby, PHP, Java.
READS = (
    r"process\.env\.{0}\b"
    r"|process\.env\[['\"]{0}['\"]\]"
    r"|environ(?:\.get\(|\[)\s*['\"]{0}['\"]"
    r"|[gG]etenv\(\s*['\"]{0}['\"]"
    r"|LookupEnv\(\s*\"{0}\""
    r"|ENV(?:\.fetch\(|\[)['\"]{0}['\"]"
    r"|\$\{{{0}[:}}]"
)
SOURCE = (
    ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".py", ".go", ".rb", ".php", ".java",
    ".cs", ".kt", ".yml", ".yaml", ".properties", ".conf", ".sh",
)  # fmt: skip
# Files that start the container or call it: manifests, CI, scripts.
CALLERS = (
    ".yml", ".yaml", ".sh", ".mk", ".conf", ".template", ".tf", ".json", ".toml", ".cfg", ".ini", ".vcl",
    ".env", ".env.example", ".env.sample", ".env.production", ".env.development", ".env.local",
    ".hcl", ".nomad", ".bicep", ".ps1", ".j2", ".tmpl", ".vhost", ".caddyfile",
)  # fmt: skip
CALLER_NAMES = (
    "Makefile",
    "makefile",
    "GNUmakefile",
    "Justfile",
    "justfile",
    "Jenkinsfile",
    "Procfile",
    "Caddyfile",
    "Tiltfile",
    "default",
)
# Where scripts have no ending.
SCRIPT_FOLDERS = frozenset(("bin", "scripts", "script", "tools", "hack", "ci"))
SKIPPED = frozenset((".git", "node_modules", "vendor", ".venv", "venv", "dist", "build", "target", "__pycache__"))
# Folder names that say nothing about which image they belong to.
COMMON_FOLDERS = frozenset(
    ("src", "source", "app", "docker", "build", "deploy", "before", "after", "services", "apps", "images", "..", ".")
)
MAXIMUM_FILES = 4000
MAXIMUM_FOLDERS = 4000


@lru_cache(maxsize=64)
def files_below(folder: Path) -> tuple[Path, ...]:
    """Return the text-like files below a folder, at most 4,000, without version control and dependencies."""
    found: list[Path] = []
    for count, (top, folders, names) in enumerate(os.walk(folder)):
        has_scripts = Path(top).name in SCRIPT_FOLDERS
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            is_script = has_scripts and "." not in name
            if name.endswith(SOURCE + CALLERS) or name in CALLER_NAMES or is_script or name.startswith("Caddyfile"):
                found.append(Path(top) / name)
        if len(found) > MAXIMUM_FILES or count > MAXIMUM_FOLDERS:
            break
    return tuple(found)


def contents(files: tuple[Path, ...], endings: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield path and text of the small files with one of the endings or of the callers' names."""
    for file in files:
        is_caller = file.name in CALLER_NAMES or "." not in file.name
        if not file.name.endswith(endings) and not (CALLERS[0] in endings and is_caller):
            continue
        data = content(file)
        if data:
            yield file, data.decode("utf-8", "replace")


def reads_variable(project: Project, facts: StageFacts, name: str) -> bool:
    """Whether a start command or a source file of the build context reads an environment variable."""
    pattern = re.compile(READS.format(re.escape(name)))
    if starts_with(facts, name):
        return True
    if project.root is None:
        return False
    folder = project.root / context.build_context(project)
    return any(pattern.search(text) for _, text in contents(files_below(folder), SOURCE))


def starts_with(facts: StageFacts, name: str) -> bool:
    """Whether a start command reads an environment variable."""
    used = re.compile(rf"\$\{{?{re.escape(name)}\b")
    return any(step is not None and used.search(step.instruction.value) for step in (facts.entrypoint, facts.command))


def outside_uses(project: Project, port: int) -> Iterator[tuple[PurePosixPath, int]]:
    """Yield path and 1-based line of each file that reaches the image on a port from outside of Compose.

    Asked only when a port is about to move: manifests of Kubernetes and the like, calls by the folder's name.
    """
    if project.root is None:
        return
    named = folder_pattern(project, port)
    close = tuple(f"{folder}/" for folder in close_folders(project))
    for file in files_below(search_root(project)):
        if not file.name.endswith(CALLERS) and file.name not in CALLER_NAMES:
            continue
        name = PurePosixPath(os.path.relpath(file, project.root))
        data = project.read(name)
        if data is None or len(data) > MAXIMUM_SIZE:
            continue
        text = data.decode("utf-8", "replace")
        found: list[int] = []
        if named is not None and not in_other_project(project, name):
            found += (match.start() for match in named.finditer(text))
        if str(file).startswith(close) or speaks_of(project, text):
            found += deploy_ports.offsets(project, name, text, port)
        for offset in found:
            yield name, text.count("\n", 0, offset) + 1


def in_other_project(project: Project, file: PurePosixPath) -> bool:
    """Whether a file belongs to a Compose project of its own, where the same name is another container."""
    above, others = compose_folders(project)
    if not above:
        return False
    for folder in file.parents:
        if folder in above:
            return False
        if folder in others:
            return True
    return False


@lru_cache(maxsize=64)
def compose_folders(project: Project) -> tuple[frozenset[PurePosixPath], frozenset[PurePosixPath]]:
    """Return the folders that hold a Compose file of the image at any depth, and those that hold any Compose file."""
    assert project.root is not None
    own = {service.file.parent for service in compose.services(project)}
    above = own.union(*(folder.parents for folder in own))
    return frozenset(above), frozenset(path.parent for path, _ in repository_files.contents(project.root).compose)


def folder_pattern(project: Project, port: int) -> re.Pattern[str] | None:
    """Return what a call looks like that names the service as the Dockerfile's folder is named."""
    name = project.context.name
    if not name or name.lower() in COMMON_FOLDERS:
        return None
    implicit = "?" if port in (80, 443) else ""
    return re.compile(rf"https?://{re.escape(name)}(?::{port}){implicit}(?=[/\"'\s;]|$)", re.MULTILINE)


def compose_hosts(project: Project) -> set[str]:
    """Return the names by which other containers reach the image's Compose services."""
    found: set[str] = set()
    for service in compose.services(project):
        values = service.values
        found |= {service.name, *(str(values[key]) for key in ("container_name", "hostname") if values.get(key))}
    return found


def search_root(project: Project) -> Path:
    """Return the folder below which files may speak of the image: the repository, else the context or what it is in.

    Without a repository, that is the first folder below the project's root: the root may be a collection of projects.
    """
    assert project.root is not None
    if (project.root / ".git").exists():
        return project.root
    own = project.root / context.build_context(project)
    parts = context.build_context(project).parts
    return project.root / parts[0] if len(parts) > 1 and ".." not in parts else own


def close_folders(project: Project) -> tuple[Path, ...]:
    """Return the folders whose files are the image's own: its context, the one around it, its Compose files'."""
    assert project.root is not None
    own = project.root / context.build_context(project)
    around = (own.parent,) if own not in (project.root, project.root.parent) and own.parent != project.root else ()
    return (own, *around, *(project.root / one.file.parent for one in compose.services(project) if one.certain))


def speaks_of(project: Project, text: str) -> bool:
    """Whether a file elsewhere in the repository is about this image: the only one, or one of that name."""
    assert project.root is not None
    if only_dockerfile(search_root(project)):
        return True
    own = context.build_context(project)
    names = {part for part in own.parts[-2:] if part.lower() not in COMMON_FOLDERS}
    names |= {service.name for service in compose.services(project)}
    return any(re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) for name in names)


@lru_cache(maxsize=64)
def only_dockerfile(folder: Path) -> bool:
    """Whether at most one Dockerfile is below a folder."""
    return len(list(islice(find_dockerfiles(folder), 2))) < 2
