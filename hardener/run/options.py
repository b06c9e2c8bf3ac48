"""The options with which a hardened image is started: from what it needs, and from how its project starts it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hardener import repository
from hardener.context import build_context
from hardener.directories import own_volumes
from hardener.image_names import is_literal
from hardener.outcome import Outcome
from hardener.paths import below
from hardener.port_facts import Move
from hardener.ports import moves as port_moves
from hardener.run.line import Line, Option, quoted
from hardener.run.settings_of import Start, start_of
from hardener.runtime.stage_needs import needs_of_stage
from hardener.settings import settings_for
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.outcome import Verdict
    from hardener.pipeline import Result
    from hardener.project import Project
    from hardener.runtime.needs import Needs, Writable
    from hardener.stages import StageFacts

FROM_IMAGE = "the image needs it"


def line_for(result: Result, engine: str) -> Line:
    """Return what starts the last stage of a hardened Dockerfile; ``engine`` is docker or podman."""
    project = result.after
    index = len(project.dockerfile.stages) - 1
    verdict = next((one.verdict for one in result.stages if one.index == index), None)
    facts = stage_facts(project.dockerfile, index)
    needs = needs_of_stage(project, index, verdict)
    start = start_of(project, facts)
    image = image_of(project, start)
    unknown = [*start.unknown]
    name = re.sub(r"[^a-zA-Z0-9_.-]", "-", image.rpartition("/")[2].partition(":")[0]).strip("-.") or "app"
    mounted = dict(volumes(start, name, needs, facts))
    options = [
        Option("--detach", "", "it goes on in the background"),
        Option(
            "--name",
            name,
            f"so that `{engine} logs {name}`, `{engine} stop {name}` and `{engine} start {name}` find it",
        ),
        *user(needs, start, unknown),
        *file_system(needs, start, mounted, engine, unknown),
        *privileges(needs, unknown),
        *(Option("--volume", with_owner(text, engine), reason) for text, reason in mounted.items()),
        *ports(facts, start, result, unknown),
        *(Option("--env", text, f"as {where}") for text, where in start.variables),
        *(Option("--env-file", text, f"as {where}") for text, where in start.env_files),
        *(Option(option, value, f"as {where}") for option, value, where in start.limits),
    ]
    words = ("--file", str(project.dockerfile_path), "--tag", image, str(build_context(project)))
    build = f"{engine} build {' '.join(map(quoted, words))}"
    once = tuple(migration(verdict, list(mounted), image, engine, needs)) if engine == "docker" else ()
    return Line(engine, image, build, tuple(options), start.command, once, tuple(dict.fromkeys(unknown)))


def image_of(project: Project, start: Start) -> str:
    """Return the name of the image: as its service or a documented build has it, else its folder's."""
    if start.image and "$" not in start.image:
        return start.image
    for one in repository.builds(project.root) if project.root is not None else ():
        if one.dockerfile == project.dockerfile_path and is_literal(one.name):
            return "/".join(one.name.parts) + (f":{one.name.tag}" if one.name.tag else "")
    stem = re.sub(r"(?i)\.?(?:dockerfile|containerfile)\.?", "", project.dockerfile_path.name)
    folder = project.context.name or (project.root.name if project.root is not None else "")
    return re.sub(r"[^a-z0-9]+", "-", f"{folder}-{stem}".lower()).strip("-") or "app"


def user(needs: Needs, start: Start, unknown: list[str]) -> Iterator[Option]:
    """Yield ``--user`` where the image starts as root and works as somebody else from the start."""
    if start.user:
        yield Option("--user", start.user, f"as {start.where}")
    elif needs.starts_as_root and needs.runs_as:
        yield Option("--user", needs.runs_as, "its image has no USER, and works as this one from the start")
    elif needs.starts_as_root:
        unknown.append("a user that it could start as")
    elif needs.starts_as_root is None:
        unknown.append(needs.why_unknown("starts_as_root"))


def file_system(
    needs: Needs, start: Start, mounted: dict[str, str], engine: str, unknown: list[str]
) -> Iterator[Option]:
    """Yield ``--read-only`` and a ``--tmpfs`` for each path that is written, where all of them are known."""
    if needs.writes is None and needs.capabilities is None:
        return  # it is root's, and what it needs then is said once
    if needs.writes is None:
        unknown.append(f"where it writes, so its file system stays writable: {needs.why_unknown('writes')}")
        return
    if start.command:
        unknown.append(f"where the command of {start.where} writes, so its file system stays writable")
        return
    targets = tuple(target_of(text) for text in mounted)
    yield Option("--read-only", "", "what it is made of cannot be changed; every path that it writes is below")
    for one in needs.writes:
        if not below(one.path, targets) and not (one.kept and any(below(target, (one.path,)) for target in targets)):
            yield Option("--tmpfs", tmpfs(one, engine), f"it writes in {one.path}, and keeps nothing there")


def tmpfs(one: Writable, engine: str) -> str:
    """Return a ``--tmpfs`` value; Podman takes no owner there, so everybody may write it."""
    owner = "" if one.uid is None or engine == "podman" else f"uid={one.uid},gid={one.gid},"
    mode = "1777" if engine == "podman" and one.uid is not None else one.mode
    return f"{one.path}:{owner}mode={mode},size={one.size}"


def privileges(needs: Needs, unknown: list[str]) -> Iterator[Option]:
    """Yield what takes privileges away, where nothing in the image needs them."""
    if needs.gains is None or needs.gains:
        unknown.append(f"whether it works without privileges: {needs.gains or needs.why_unknown('gains')}")
        return
    if needs.capabilities is None:
        unknown.append(f"which capabilities it needs: {needs.why_unknown('capabilities')}")
    else:
        yield Option("--cap-drop", "ALL", "its user needs none of root's rights")
        for name in needs.capabilities:
            yield Option("--cap-add", name, dict(needs.sources).get("capabilities", FROM_IMAGE))
    yield Option("--security-opt", "no-new-privileges", "no setuid program makes it root again")


def volumes(start: Start, name: str, needs: Needs, facts: StageFacts) -> Iterator[tuple[str, str]]:
    """Yield the volumes: those that the project mounts, and one for each place in which the image keeps data."""
    targets = []
    for text, where in start.volumes:
        targets.append(target_of(text))
        yield text, f"as {where}"
    kept = [one.path for one in needs.writes or () if one.kept]
    declared = [path for path in facts_volumes(facts) if path not in kept]
    for path in dict.fromkeys([*kept, *declared]):
        if not below(path, tuple(targets)) and not any(below(one, (path,)) for one in targets):
            words = re.sub(r"[^a-zA-Z0-9]+", "-", path).strip("-")
            yield f"{name}-{words}:{path}", "it keeps data there: they outlive the container"


def facts_volumes(facts: StageFacts) -> list[str]:
    """Return the absolute paths of the stage's own VOLUME instructions."""
    return [path for _, path in own_volumes(facts) if path.startswith("/")]


def target_of(text: str) -> str:
    """Return the container's side of a volume."""
    parts = text.split(":")
    return next((posixpath.normpath(one) for one in parts[1:] if one.startswith("/")), "")


def with_owner(text: str, engine: str) -> str:
    """Return a volume as the engine takes it: Podman gives it to the user by itself (``:U``)."""
    if engine != "podman" or text.endswith(":ro"):
        return text
    return f"{text}{',' if text.count(':') > 1 else ':'}U"


def ports(facts: StageFacts, start: Start, result: Result, unknown: list[str]) -> Iterator[Option]:
    """Yield what is published: as the project does, else each port that the image exposes, where it was before."""
    exposed = exposed_ports(facts)
    before = exposed_ports(stage_facts(result.before.dockerfile, facts.stage.index))
    moved = dict(zip(before, exposed, strict=True)) if len(before) == len(exposed) else {}
    for text, where in start.ports:
        head, colon, tail = text.rpartition(":")
        port, _, protocol = tail.partition("/")
        new = moved.get((port, protocol or "tcp"))
        number = new[0] if new is not None and colon and (port, protocol or "tcp") not in exposed else port
        yield Option("--publish", f"{head}{colon}{number}" + (f"/{protocol}" if protocol else ""), f"as {where}")
    if start.ports:
        return
    if not exposed:
        yield from moved_ports(result, facts, unknown)
    for old, (port, protocol) in zip(before if moved else exposed, exposed, strict=True):
        reason = f"it exposes {port}" + (f", and {old[0]} was its port before" if old[0] != port else "")
        yield Option("--publish", f"{old[0]}:{port}" + ("" if protocol == "tcp" else f"/{protocol}"), reason)


def moved_ports(result: Result, facts: StageFacts, unknown: list[str]) -> Iterator[Option]:
    """Yield what is published of an image that exposes nothing: the port below 1024 that moved, where there is one."""
    before = result.before
    settings = settings_for((before.root or Path()) / before.context, {})
    old = stage_facts(before.dockerfile, facts.stage.index)
    found = [port for port, one in port_moves(before, old, settings) if isinstance(one, Move)] if result.changed else []
    for port in found:
        new = settings.new_port(port)
        yield Option("--publish", f"{port}:{new}", f"it listens on {new} now, and {port} was its port before")
    if not found:
        unknown.append("the port that it listens on: nothing states one")


def exposed_ports(facts: StageFacts) -> list[tuple[str, str]]:
    """Return the ports of the stage's EXPOSE instructions, with their protocols."""
    found: list[tuple[str, str]] = []
    for step in facts.steps:
        if step.instruction.keyword == "EXPOSE":
            for word in step.instruction.words:
                port, _, protocol = word.text.partition("/")
                if port.isdecimal():
                    found.append((port, protocol or "tcp"))
    return list(dict.fromkeys(found))


def migration(verdict: Verdict | None, mounted: list[str], image: str, engine: str, needs: Needs) -> Iterator[str]:
    """Yield what has to be run once for each volume with data that the old image wrote as root."""
    if verdict is None or verdict.outcome is not Outcome.SWITCH or verdict.kept:
        return
    for text in mounted:
        if text.endswith(":ro") or not needs.user:
            continue
        target = target_of(text)
        tool = f"--entrypoint chown {quoted(image)}"
        yield (f"{engine} run --rm --user 0 --volume {quoted(text)} {tool} -R {needs.user} {quoted(target)}")
