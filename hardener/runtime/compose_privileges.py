"""Writes the run-time options of Compose services: user, read_only and tmpfs, capabilities, no-new-privileges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hardener.compose import entry
from hardener.compose_links import links
from hardener.pragmas import OWN, names_in
from hardener.runtime import options as wanted_options
from hardener.runtime import services as compose_services
from hardener.runtime.compose_dangers import dangers_of
from hardener.runtime.needs import ANY, Needs, needs_of_image
from hardener.runtime.options import NO_NEW_PRIVILEGES, Options
from hardener.runtime.yaml_insertion import added_items, added_keys, document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import PurePosixPath

    from hardener.compose import Service
    from hardener.edit import Edit
    from hardener.runtime.services import Files, Place
    from hardener.runtime.yaml_insertion import Document, Value

    # The needs of the stage that a Dockerfile (and a target) builds; ``None`` where it cannot be read.
    StageNeeds = Callable[[PurePosixPath, str | None], Needs | None]

NAME = "compose_privileges"


@dataclass(frozen=True)
class Planned:
    """What is to become of one service: its options, the keys to write, and the edits that write them."""

    service: Service
    options: Options
    keys: tuple[tuple[str, Value], ...] = ()
    edits: tuple[Edit, ...] = ()
    through: str = ""
    """The service in whose place it gets them: one that it takes its keys from."""


def plans(files: Files, path: PurePosixPath, stage_needs: StageNeeds) -> Iterator[Planned]:
    """Yield what is to become of each service of one Compose file that has an image or a build of its own.

    Raises ``yaml.YAMLError`` for a file that is no YAML.
    """
    every = files.every()
    text = document(path, files.contents[path])
    takers = compose_services.dependents(every)
    elsewhere = compose_services.used_elsewhere(files.contents[path])
    found: dict[str, Options] = {}
    for service in files.services(path):
        if service.name.startswith("[("):
            continue  # a key that is no name
        if {"image", "build"} & service.values.keys() or service.values.get("extends"):
            found[service.name] = options_for(files, every, service, stage_needs)
    for service in files.services(path):
        if service.name not in found:
            continue
        options = found[service.name]
        heirs = takers.get((path, service.name), set())
        givers = (one for one in found if service.name in takers.get((path, one), ()))
        giver = next((one for one in givers if alike(found, takers, path, one)), "")
        if is_ignored(text.text, service):
            yield Planned(service, Options(told=("a comment says so",)))
        elif service.node.start_mark.index in elsewhere:
            yield Planned(service, Options(told=("an alias puts its keys elsewhere too",)))
        elif giver:
            yield Planned(service, options, through=giver)
        elif heirs and not alike(found, takers, path, service.name):
            told = f"other services take its keys ({', '.join(sorted(heirs))}) and want other ones"
            yield Planned(service, Options(told=(*options.told, told) if any(options.wanted) else options.told))
        else:
            yield written(text, service, options)


def alike(found: Mapping[str, Options], takers: Mapping[Place, set[str]], path: PurePosixPath, name: str) -> bool:
    """Whether every service that takes the keys of one wants just the same options: then that one has them for all."""
    heirs = takers.get((path, name), set())
    return bool(heirs) and all(one in found and found[one].wanted == found[name].wanted for one in heirs)


def options_for(files: Files, every: Mapping[Place, Service], service: Service, stage_needs: StageNeeds) -> Options:
    """Return the options of one service, in whatever way its file is merged with others."""
    found = []
    for values in compose_services.variants(every, service):
        if values.get("extends") == compose_services.MISSING:
            return Options(told=("the file that it extends is not here",))
        needs = needs_of(files, service, values, stage_needs)
        found.append(wanted_options.options_of(values, needs, odd_volumes(files, every, service)))
    return wanted_options.common(found)


def needs_of(files: Files, service: Service, values: Mapping[str, Any], stage_needs: StageNeeds) -> Needs:
    """Return the needs of what a service runs: the stage that it builds, or somebody's image."""
    command, entrypoint = (
        compose_services.words(values.get("command")),
        compose_services.words(values.get("entrypoint")),
    )
    linked = [(file, one) for file, group in links(files.root).items() for one in group]
    mine = [(file, one) for file, one in linked if (one.file, one.name) == (service.file, service.name)]
    if values.get("build") or mine:
        if len({(file, one.target) for file, one in mine}) != 1 or not all(one.certain for _, one in mine):
            return Needs(None, unknown=((ANY, "which Dockerfile it runs is not certain"),))
        needs = stage_needs(mine[0][0], mine[0][1].target)
        if needs is None:
            return Needs(None, unknown=((ANY, f"{mine[0][0]} cannot be read"),))
        return restarted(needs, command, entrypoint)
    reference = compose_services.interpolated(
        str(values.get("image") or ""), compose_services.known_variables(files, service)
    )
    variables = compose_services.environment(values.get("environment"))
    mounts = [target for source, target, _ in compose_services.mount_rows(values) if source != "tmpfs:"]
    needs = needs_of_image(
        reference,
        command,
        own_entrypoint=entrypoint is None,
        variables=variables,
        mounts=mounts,
        health=str(values.get("healthcheck") or ""),
    )
    if values.get("env_file") and needs.writes is not None:
        return without_writes(needs, "its env_file may name a place to write")
    return needs


def restarted(needs: Needs, command: tuple[str, ...] | None, entrypoint: tuple[str, ...] | None) -> Needs:
    """Return the needs of a stage that a service starts with words of its own."""
    if command is None and entrypoint is None:
        return needs
    given = (*(entrypoint or ()), *(command or ()))
    if any(word.rpartition("/")[2] in ("sudo", "doas", "su", "ping") for text in given for word in text.split()):
        return Needs(needs.starts_as_root, needs.user, unknown=((ANY, "its command changes users"),))
    found = without_writes(needs, "its command is replaced")
    if needs.starts_as_root:
        reason = "its command is replaced, and it starts as root"
        return replace(found, capabilities=None, unknown=(*found.unknown, ("capabilities", reason)))
    return found


def without_writes(needs: Needs, reason: str) -> Needs:
    """Return needs whose list of writable paths is not known."""
    others = tuple((key, why) for key, why in needs.unknown if key != "writes")
    return replace(needs, writes=None, unknown=(*others, ("writes", reason)))


def odd_volumes(files: Files, every: Mapping[Place, Service], service: Service) -> dict[str, str]:
    """Return the named volumes whose first owner is not the image's to decide, each with why."""
    found: dict[str, str] = {}
    for (path, name), other in every.items():
        if path.parent != service.file.parent or name == service.name:
            continue
        for source, _, read_only in compose_services.mount_rows(other.values):
            if source and not read_only:
                found[source] = f"is {name}'s too"
    for path in files.contents:
        if path.parent == service.file.parent:
            tables = compose_services.top_level(path, files.contents[path]).get("volumes")
            for name, table in tables.items() if isinstance(tables, dict) else ():
                if isinstance(table, dict) and ("external" in table or table.get("driver_opts")):
                    found[name] = "is made elsewhere"
    return found


def written(text: Document, service: Service, options: Options) -> Planned:
    """Return the plan of one service with the edits that write its options."""
    keys: list[tuple[str, Value]] = []
    edits: list[Edit] = []
    told = list(options.told)
    read_only, lists = (
        options.read_only,
        {
            "tmpfs": options.tmpfs,
            "cap_drop": ("ALL",) if options.drops else (),
            "cap_add": options.capabilities,
            "security_opt": (NO_NEW_PRIVILEGES,) if options.no_new_privileges else (),
        },
    )
    node = service.node
    if not (node.id == "mapping" and node.value) or text.text[node.start_mark.index - 1 : node.start_mark.index] == "*":
        return Planned(service, Options(told=("it has no keys of its own",)))
    for name in tuple(lists):
        own = entry(node, name)
        if not lists[name] or (own is None and not service.values.get(name)):
            continue
        if own is None:  # a merge key brings it; the service's own list takes its place
            lists[name] = (*map(str, compose_services.items(service.values.get(name))), *lists[name])
        elif own.id == "sequence" and own.value and is_own(text, service, own):
            edits += added_items(text, own, lists[name])
            keys.append((name, lists[name]))
            lists[name] = ()
        else:
            told.append(f"its {name} is not a list of its own")
            read_only = read_only and name != "tmpfs"
            lists[name] = ()
    new: list[tuple[str, Value]] = [("user", f'"{options.user}"')] if options.user else []
    new += [("read_only", "true")] if read_only else []
    new += [(name, items) for name, items in lists.items() if items and (read_only or name != "tmpfs")]
    edits += added_keys(text, node, new)  # behind the items of a list that is the last key
    return Planned(service, replace(options, read_only=read_only, told=tuple(told)), (*new, *keys), tuple(edits))


def is_own(text: Document, service: Service, sequence: Any) -> bool:
    """Whether a list stands in the service itself, without an anchor that others may use."""
    begin, stop = sequence.start_mark.index, sequence.end_mark.index
    inside = service.node.start_mark.index <= begin and stop <= service.node.end_mark.index
    return inside and text.text[begin] != "&"


def is_ignored(text: str, service: Service) -> bool:
    """Whether a comment above a service, or at the top of the file, switches this fixer off."""
    lines = text.splitlines()
    above = key_line(lines, service) - 1
    found: list[str] = []
    while above >= 0 and lines[above].lstrip().startswith("#"):
        found.append(lines[above])
        above -= 1
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            break
        found.append(line)
    matches = (OWN.match(line.strip()) for line in found)
    return any(one is not None and (not one["names"] or NAME in names_in(one["names"])) for one in matches)


def key_line(lines: list[str], service: Service) -> int:
    """Return the line (0-based) of a service's name."""
    names = tuple(f"{mark}{service.name}{mark}:" for mark in ("", '"', "'"))
    start = min(service.node.start_mark.line, len(lines) - 1)
    return next((one for one in range(start, -1, -1) if lines[one].lstrip().startswith(names)), start)


def dangers_in(files: Files, path: PurePosixPath) -> Iterator[tuple[Service, str]]:
    """Yield the dangers of every service of a file, as sentences."""
    for service in files.services(path):
        for danger in dangers_of(service.values):
            yield service, str(danger)
