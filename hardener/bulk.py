"""Many Dockerfiles: each one a result or a failure of its own; one that cannot be read never stops the others."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.discovery import find_dockerfiles
from hardener.dockerfile import ParseError
from hardener.edit import EditConflict
from hardener.outcome import Unit
from hardener.pipeline import Result, SelfCheckError, harden
from hardener.project import Project, UnsafePath, open_project, project_from_bytes, project_root, repository_root
from hardener.settings import ConfigurationError, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Files that results changed and nobody wrote yet: a Dockerfile by its own path, what projects share by their root.
Pending = dict[Path, dict[PurePosixPath, bytes]]

# From here on several processes are worth their start; each takes this many files at a time.  With --inspect there
# is one, so that every image is inspected once.
MANY_FILES = 100
CHUNK = 8
YAML = (".yml", ".yaml")
REPORT = "this is a fault of harden; nothing was changed; please report it with this file"


class Hardened(NamedTuple):
    """One Dockerfile that could be read: its path as the user would write it, and its result."""

    name: str
    result: Result
    folder: str = ""
    """Where the project lies, relative to the folder whose patch this is part of: a repository inside that."""
    printed: bool = True
    """Whether it is shown without an option: not a Compose file that nobody named."""


class Failure(NamedTuple):
    """One file that could not be read or hardened: its path, the 1-based line (0: the file as such), and why."""

    name: str
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.name}:{self.line}" if self.line else self.name
        return f"{where}: {self.message}"


def harden_paths(
    paths: Iterable[Path], overrides: Mapping[str, Any] | None = None, pending: Pending | None = None
) -> Iterator[Hardened | Failure]:
    """Harden every Dockerfile among and below ``paths``; nothing is written.

    ``overrides`` are fields of ``Settings`` that win over the configuration files.  Each result starts from what the
    results before it made (two images may share a Compose file), so that their diffs apply one after the other:
    ``pending`` has what they changed, and is added to.  Clear it where the disk has the truth.
    """
    pending = {} if pending is None else pending
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a folder above is closed
            root = project_root(path.absolute())
            yield from harden_folder(path, root, overrides or {}, pending)
        elif path.name.endswith(YAML):
            yield from harden_deployment((path.absolute(),), None, overrides or {}, pending, {})
        else:
            yield harden_file(path.absolute(), None, overrides or {}, pending)


def harden_folder(
    path: Path, root: Path, overrides: Mapping[str, Any], pending: Pending
) -> Iterator[Hardened | Failure]:
    """Harden the Dockerfiles below a folder, and then the files there that start their images."""
    files = find_dockerfiles(path.absolute())
    first = tuple(islice(files, MANY_FILES))
    starting = deployment_files(path.absolute(), root)
    if not first and not starting:
        yield Failure(str(path), 0, "no Dockerfile or Containerfile is below this folder")
    files = chain(first, files)
    if len(first) < MANY_FILES or (os.cpu_count() or 1) < 2 or overrides.get("inspect"):
        found: Iterator[Hardened | Failure] = (harden_file(file, root, overrides, pending) for file in files)
    else:
        found = harden_many(files, root, overrides, pending)
    results: dict[tuple[Path | None, PurePosixPath], Result] = {}
    for one in found:
        if starting and isinstance(one, Hardened):
            results[one.result.before.root, one.result.before.dockerfile_path] = one.result
        yield one
    yield from harden_deployment(starting, root, overrides, pending, results)


def deployment_files(folder: Path, root: Path) -> tuple[Path, ...]:
    """Return the files below a folder that start images; those of a repository inside it too."""
    from hardener import repository_files  # noqa: PLC0415  a Dockerfile alone needs none of it

    contents = repository_files.contents(root)
    if not contents.compose and not contents.manifests:
        return ()
    from hardener.pods.manifests import manifests_below  # noqa: PLC0415
    from hardener.runtime.deployment import compose_files  # noqa: PLC0415

    return tuple(root / path for path in (*compose_files(root, folder), *manifests_below(root, folder)))


def harden_deployment(
    files: Iterable[Path],
    root: Path | None,
    overrides: Mapping[str, Any],
    pending: Pending,
    results: Mapping[tuple[Path | None, PurePosixPath], Result],
) -> Iterator[Hardened | Failure]:
    """Harden files that start images, each on top of what was changed before; ``root`` is the folder asked for."""
    for file in files:
        from hardener.pods import manifests  # noqa: PLC0415  yaml is for those who have it
        from hardener.runtime.compose_privileges import NAME  # noqa: PLC0415
        from hardener.runtime.deployment import harden_compose  # noqa: PLC0415

        name = shown(file)
        own = repository_root(file.parent) or root or project_root(file.parent)
        if root is not None and not own.is_relative_to(root):
            own = root
        folder = own.relative_to(root).as_posix() if root is not None and own != root else ""
        path = PurePosixPath(file.relative_to(own).as_posix())
        made = {where: one for (place, where), one in results.items() if place == own}
        try:
            settings = settings_for(file.parent, overrides)
            harden_one_file = manifests.harden_file if manifests.is_manifest(file) else harden_compose
            result = harden_one_file(own, path, settings, pending.get(own, {}), made)
        except FileNotFoundError:
            yield Failure(name, 0, "there is no such file")
        except OSError as error:
            yield Failure(name, 0, f"cannot be read: {error.strerror or error}")
        except (UnsafePath, ConfigurationError) as error:
            yield Failure(name, 0, str(error))
        except ParseError as error:
            if root is None:
                yield Failure(name, error.line, str(error))
            else:  # nobody named it, and it may be a template
                unread = (Unit(error.line, "file", "left", str(error)),)
                before = Project(path, {path: b""}, own)
                yield Hardened(name, Result(before, before, (), (), unread, NAME), folder, printed=False)
        except (SelfCheckError, EditConflict) as error:
            yield Failure(name, 0, f"{error}; {REPORT}")
        except Exception as error:  # noqa: BLE001  one file must never stop the others, nor show a traceback
            yield Failure(name, 0, f"{type(error).__name__}: {error}; {REPORT}")
        else:
            one = Hardened(name, result, folder, printed=root is None)
            remember(one, file, pending)
            yield one


def harden_many(
    files: Iterable[Path], root: Path, overrides: Mapping[str, Any], pending: Pending
) -> Iterator[Hardened | Failure]:
    """Harden many Dockerfiles in as many processes as there are processors; results come in the files' order.

    A result that changes a file which one before it changed too (a Compose file of several images) is made again
    here, on top of that one.  The first are at work while the others are still looked for.
    """
    shared: set[tuple[Path | None, PurePosixPath]] = set()
    for file, result in results_of_processes(files, root, overrides):
        one = result
        if isinstance(one, Hardened):
            before = one.result.before
            changed = {(before.root, path) for path in (*one.result.changed, before.dockerfile_path)}
            if changed & shared or file in pending:
                one = harden_file(file, root, overrides, pending)
            else:
                remember(one, file, pending)
            shared |= {(before.root, path) for path in one.result.changed} if isinstance(one, Hardened) else set()
        yield one


def results_of_processes(
    files: Iterable[Path], root: Path, overrides: Mapping[str, Any]
) -> Iterator[tuple[Path, Hardened | Failure]]:
    """Yield each file with its result, by several processes; by this one where they cannot be had or are killed."""
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415  a few files do not pay for it
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    work = partial(harden_file, root=root, overrides=overrides)
    given, left = tee(files)
    try:
        with ProcessPoolExecutor() as pool:
            results = pool.map(work, given, chunksize=CHUNK)
            for one, file in zip(results, left, strict=False):  # a file leaves `left` after its result came
                yield file, one
    except (BrokenProcessPool, OSError, ImportError, NotImplementedError):
        yield from ((file, work(file)) for file in left)


def harden_file(
    file: Path, root: Path | None, overrides: Mapping[str, Any], pending: Pending | None = None
) -> Hardened | Failure:
    """Harden one Dockerfile on disk; every error of the input becomes a ``Failure``.

    ``root`` is the folder that was asked for; a repository inside it is a project of its own.
    """
    name = shown(file)
    folder = ""
    own = repository_root(file.parent)
    if root is not None and own is not None and own != root and own.is_relative_to(root):
        root, folder = own, own.relative_to(root).as_posix()
    try:
        project = open_project(file, root)
        unwritten = {**(pending or {}).get(project.root or file, {}), **(pending or {}).get(file, {})}
        if unwritten:
            project = replace(project, files={**project.files, **unwritten})
        settings = settings_for(file.parent, overrides)
    except FileNotFoundError:
        return Failure(name, 0, "there is no such file")
    except OSError as error:
        return Failure(name, 0, f"cannot be read: {error.strerror or error}")
    except (UnsafePath, ConfigurationError) as error:
        return Failure(name, 0, str(error))
    one = harden_one(name, project, settings)
    if not isinstance(one, Hardened):
        return one
    if pending is not None:
        remember(one, file, pending)
    return one._replace(folder=folder) if folder else one


def remember(one: Hardened, file: Path, pending: Pending) -> None:
    """Add what a result changed to ``pending``: for the whole root, since another image's Dockerfile may call it."""
    before = one.result.before
    for path, (_, data) in one.result.changed.items():
        for key in (before.root, file if path == before.dockerfile_path else None):
            if key is not None:
                pending.setdefault(key, {})[path] = data


def harden_stream(data: bytes, overrides: Mapping[str, Any]) -> Hardened | Failure:
    """Harden the bytes of standard input."""
    try:
        settings = settings_for(Path.cwd(), overrides)
    except ConfigurationError as error:
        return Failure("<stdin>", 0, str(error))
    return harden_one("<stdin>", project_from_bytes(data), settings)


def harden_one(name: str, project: Project, settings: Any) -> Hardened | Failure:
    """Run the pipeline over one project."""
    try:
        return Hardened(name, harden(project, settings))
    except ParseError as error:
        return Failure(name, error.line, str(error))
    except (SelfCheckError, EditConflict) as error:
        return Failure(name, 0, f"{error}; {REPORT}")
    except Exception as error:  # noqa: BLE001  one file must never stop the others, nor show a traceback
        return Failure(name, 0, f"{type(error).__name__}: {error}; {REPORT}")


def shown(file: Path) -> str:
    """Return a path as a user would write it: relative to the current folder where it is below it."""
    return str(file).removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118  for every file
