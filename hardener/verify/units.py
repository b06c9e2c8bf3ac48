"""What is verified together: the services of a Compose file, or the image of one Dockerfile."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener.discovery import find_dockerfiles
from hardener.migration import DEFAULT_FILES
from hardener.project import open_project
from hardener.settings import settings_for
from hardener.verify import compose_file, stacks
from hardener.verify.engine import EngineFailed
from hardener.verify.images import ImageRunner, documented
from hardener.verify.runner import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from hardener.verify.engine import Engine
    from hardener.verify.registry import Run
    from hardener.verify.runner import Runner, Wishes
    from hardener.verify.tunnels import Tunnels


class Unit(NamedTuple):
    """One thing to build and run: its Dockerfiles, relative to the project's root, and its Compose files, if any."""

    name: str
    dockerfiles: tuple[str, ...]
    folder: PurePosixPath
    compose: tuple[str, ...] = ()
    found_by_itself: bool = True
    """Whether Compose finds those files by itself, and their overrides with them."""


class Making(NamedTuple):
    """What every runner is made with."""

    engine: Engine
    run: Run
    wishes: Wishes
    overrides: Mapping[str, Any]
    show: Callable[[str], None] | None
    tunnels: Tunnels | None = None


def units(
    root: Path, path: Path, changed: Sequence[str], engine: Engine, compose: Sequence[str] | None
) -> tuple[list[Unit], list[str]]:
    """Return what is to be verified of the Dockerfiles that changed, and sentences on what is left out.

    ``path`` is PATH relative to ``root``; ``compose`` are the Compose files to use, ``()`` for none, ``None`` for
    those that Compose finds by itself beside PATH.
    """
    notes: list[str] = []
    left = [one for one in changed if not one.endswith((".yml", ".yaml"))]  # those are started, not built
    found: list[Unit] = []
    folder = path if (root / path).is_dir() else path.parent
    files = compose_files(root, path, compose)
    if files:
        try:
            if not engine.has_compose:
                raise EngineFailed(f"{engine.kind} has no Compose here")  # noqa: TRY301
            config = stacks.resolved(engine.kind, root / folder, () if compose is None else files)
            built = built_from(config, root)
            prefix = "" if folder == Path() else f"{folder.as_posix()}/"
            is_changed = any(f"{prefix}{one}" in changed for one in files)  # then all that it starts is verified
            mine = tuple(one for one in built if one in left or is_changed)
            if mine:
                found.append(Unit(files[0], mine, PurePosixPath(folder.as_posix()), files, compose is None))
                left = [one for one in left if one not in mine]
        except EngineFailed as error:
            said = str(error).replace(f"{root}/", "")
            notes.append(f"{files[0] if files else 'Compose'}: {said}; the images are run one by one")
    found += [Unit(one, (one,), PurePosixPath(posixpath.dirname(one))) for one in left]
    return found, notes


def compose_files(root: Path, path: Path, compose: Sequence[str] | None) -> tuple[str, ...]:
    """Return the Compose files to run: those given, or the one that Compose finds by itself beside PATH."""
    if compose is not None:
        return tuple(compose)
    return tuple(name for name in sorted(DEFAULT_FILES) if (root / path / name).is_file())[:1]


def built_from(config: Mapping[str, Any], root: Path) -> list[str]:
    """Return the Dockerfiles that the services of a resolved project build, relative to its root."""
    found = []
    for service in (config.get("services") or {}).values():
        file = compose_file.dockerfile_of(service)
        if file is not None and file.resolve().is_relative_to(root.resolve()):
            found.append(file.resolve().relative_to(root.resolve()).as_posix())
    return list(dict.fromkeys(found))


def dockerfiles_below(root: Path, path: Path) -> list[str]:
    """Return every Dockerfile at or below PATH, relative to the root."""
    if not (root / path).is_dir():
        return [path.as_posix()]
    return [one.relative_to(root).as_posix() for one in find_dockerfiles(root / path)]


def runner_for(unit: Unit, root: Path, side: str, making: Making, ports: tuple[int, ...] = ()) -> Runner:
    """Return what builds and starts one side of a unit; ``root`` is the side's copy.  Raises ``EngineFailed``."""
    settings = settings_for(root / PurePosixPath(unit.dockerfiles[0]).parent, making.overrides)
    settings = settings.of(PurePosixPath(unit.dockerfiles[0]))
    place = Place(making.engine, making.run, root, side, making.wishes, settings, making.show, ports, making.tunnels)
    if unit.compose:
        config = stacks.resolved(making.engine.kind, root / unit.folder, () if unit.found_by_itself else unit.compose)
        return stacks.ComposeRunner(place, config)
    file = root / unit.dockerfiles[0]
    context = root / making.wishes.context if making.wishes.context else file.parent
    name = "".join(one if one.isalnum() else "-" for one in unit.dockerfiles[0].lower()).strip("-") or "image"
    return ImageRunner(place, name, file, context, documented(open_project(file, root)))
