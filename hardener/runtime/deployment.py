"""The files that start the images of a folder: hardened after its Dockerfiles, on top of what those changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hardener import repository_files
from hardener.bases import known_images
from hardener.compose import read_services
from hardener.decision import targets
from hardener.discovery import kept_below
from hardener.dockerfile import ParseError
from hardener.edit import Finding
from hardener.outcome import Unit
from hardener.pipeline import Result, SelfCheckError
from hardener.project import Project, UnsafePath, inside, open_project
from hardener.runtime import compose_privileges
from hardener.runtime.compose_privileges import NAME, Planned
from hardener.runtime.services import Files, items
from hardener.runtime.stage_needs import needs_of_stage
from hardener.small_files import content
from hardener.yaml_documents import check_readable

QUOTES = '"'

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from hardener.runtime.needs import Needs
    from hardener.settings import Settings


def compose_files(root: Path, folder: Path) -> tuple[PurePosixPath, ...]:
    """Return the Compose files at or below a folder of ``root``, without what Git ignores."""
    return kept_below(root, folder, (path for path, _ in repository_files.contents(root).compose))


def harden_compose(
    root: Path,
    path: PurePosixPath,
    settings: Settings,
    changed: Mapping[PurePosixPath, bytes],
    results: Mapping[PurePosixPath, Result],
) -> Result:
    """Return one Compose file hardened; nothing is written.

    ``changed`` are files that others changed and nobody wrote yet, ``results`` those of the Dockerfiles that were
    hardened before, by their paths relative to ``root``.  Raises ``OSError``, ``UnsafePath``, ``ParseError`` and
    ``SelfCheckError``.
    """
    import yaml  # noqa: PLC0415

    paths = {path, *(one for one, _ in repository_files.contents(root).compose)}
    contents = {one: current(root, one, changed) for one in sorted(paths)}
    contents[path] = changed[path] if path in changed else inside(root, root / path).read_bytes()
    files = Files(root, contents)
    before = Project(path, {path: contents[path]}, root)
    check_readable(contents[path])
    try:
        planned = tuple(compose_privileges.plans(files, path, stages(root, settings, changed, results)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ParseError(mark.line + 1 if mark is not None else 0, "is no YAML that can be read") from error
    edits = [edit for one in planned for edit in one.edits] if settings.runs(NAME) else []
    after = before.apply(edits) if edits else before
    if edits:
        check(before, after, planned)
        again = Files(root, {**contents, path: after.files[path]})
        if any(one.edits for one in compose_privileges.plans(again, path, stages(root, settings, changed, results))):
            raise SelfCheckError("a second run would change it again")
    units = tuple(unit(one, written=settings.runs(NAME)) for one in planned)
    dangers = tuple(
        Unit(service.line, f"service {service.name}", "danger", text)
        for service, text in compose_privileges.dangers_in(files, path)
    )
    findings = tuple(finding(path, one) for one in planned if one.edits and edits)
    return Result(before, after, (), findings, (*units, *dangers), NAME)


def current(root: Path, path: PurePosixPath, changed: Mapping[PurePosixPath, bytes]) -> bytes:
    """Return the bytes of a file as it is now: changed and not written yet, or on disk."""
    return changed[path] if path in changed else content(root / path)


def stages(
    root: Path, settings: Settings, changed: Mapping[PurePosixPath, bytes], results: Mapping[PurePosixPath, Result]
) -> compose_privileges.StageNeeds:
    """Return the function that tells what the stage of a Dockerfile needs, hardened where it was hardened before."""

    def needs(dockerfile: PurePosixPath, target: str | None) -> Needs | None:
        result = results.get(dockerfile)
        try:
            project = result.after if result is not None else opened(root, dockerfile, settings, changed)
            names = [stage.name for stage in project.dockerfile.stages]
            if target is not None and target.lower() not in names:
                return None
            index = names.index(target.lower()) if target is not None else len(names) - 1
            found = next((one.verdict for one in result.stages if one.index == index), None) if result else None
            return needs_of_stage(project, index, found)
        except (OSError, UnsafePath, ParseError, ValueError):  # the last: a context outside of the repository
            return None

    return needs


def opened(
    root: Path, dockerfile: PurePosixPath, settings: Settings, changed: Mapping[PurePosixPath, bytes]
) -> Project:
    """Return a Dockerfile's project as it is; raises ``OSError``, ``UnsafePath`` and ``ParseError``."""
    project = open_project(root / dockerfile, root)
    project = replace(
        project, files={**project.files, **{one: data for one, data in changed.items() if one == dockerfile}}
    )
    images = known_images(project, settings, targets(project))
    return replace(project, images=images) if images else project


def check(before: Project, after: Project, planned: tuple[Planned, ...]) -> None:
    """Raise ``SelfCheckError`` unless just the keys of the plan differ, in the services that they are meant for."""
    path = before.dockerfile_path
    old = {one.name: one.values for one in read_services(path, before.files[path])}
    new = {one.name: one.values for one in read_services(path, after.files[path])}
    if old.keys() != new.keys():
        raise SelfCheckError("the services would change")
    keys = {one.service.name: dict(one.keys) for one in planned if one.edits}
    for one in planned:
        if one.through and not one.service.values.get("extends"):  # Compose itself adds what is extended
            keys[one.service.name] = keys.get(one.through, {})
    for name, values in new.items():
        if values != expected(old[name], keys.get(name, {})):
            raise SelfCheckError(f"service {name} would not be what was meant")


def expected(values: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a service with the keys of a plan."""
    found = dict(values)
    for name, value in keys.items():
        if isinstance(value, str):
            found[name] = value.strip('"')
        else:
            own = [one for one in items(found.get(name)) if one not in value]
            found[name] = [*own, *value]
    return found


def finding(path: PurePosixPath, one: Planned) -> Finding:
    """Return the finding of one service that is written."""
    return Finding(NAME, path, one.service.line, f"service {one.service.name}: {said(one)}", one.edits)


def unit(one: Planned, *, written: bool) -> Unit:
    """Return what became of one service, for the report."""
    name = f"service {one.service.name}"
    told = "; ".join(one.options.told)
    if one.through:
        return Unit(one.service.line, name, "hardened", f"by what {one.through} gives it", told)
    if one.keys and written:
        return Unit(one.service.line, name, "hardened", said(one), told)
    if one.keys:
        return Unit(one.service.line, name, "left", "compose_privileges was left out")
    return Unit(one.service.line, name, "left" if told else "already", told or "nothing to add")


def said(one: Planned) -> str:
    """Return what is written for one service, in words."""
    keys = dict(one.keys)
    words = {
        "user": f"user {str(keys.get('user', '')).strip(QUOTES)}",
        "read_only": "a read-only root file system",
        "tmpfs": f"tmpfs {' '.join(str(entry).partition(':')[0] for entry in keys.get('tmpfs', ()))}",
        "cap_drop": "no capabilities" + (" but" if "cap_add" in keys else ""),
        "cap_add": " ".join(keys.get("cap_add", ())),
        "security_opt": "no new privileges",
    }
    return ", ".join(words[key] for key in words if key in keys).replace("but, ", "but ")
