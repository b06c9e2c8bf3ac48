"""Every place that states, decides or calls a port, as ``path:line``: told where the port has to stay.

Whoever moves it by hand has to find all of them, so this looks more widely than what edits anything: also into
configuration of servers that is not read elsewhere (``listen_lines.toml``).
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import tomli

from hardener import compose, compose_callers, context, kubernetes_ports, ports, references, run_lines
from hardener.compose_port_edits import UNCLEAR, container_port_position
from hardener.compose_ports import sequence
from hardener.listening import decides
from hardener.port_facts import Stuck
from hardener.small_files import MAXIMUM_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardener.edit import Edit
    from hardener.port_facts import Uses
    from hardener.project import Project
    from hardener.settings import Settings
    from hardener.stages import StageFacts

MOST = 20
"""Places in one sentence."""


def places(project: Project, facts: StageFacts, uses: Uses) -> list[str]:
    """Return every place of a port, those of the image's own files first."""
    port = uses.port
    found = [f"{project.dockerfile_path}:{one.step.instruction.line}" for one in uses.stated]
    found += (place_of(project, edit) for edit in uses.decided)
    found += configured(project, port)
    found += published(project, facts, port)
    found += (
        f"{one.path}:{one.line}"
        for one in chain(
            compose_callers.calls(project, facts.stage, port, port),
            compose_callers.host_settings(project, facts.stage, port, port),
            kubernetes_ports.uses(project, port, port, lambda name: decides(project, facts, name)),
            run_lines.uses(project, port, port),
            run_lines.network_calls(project, port),
        )
    )
    found += (f"{path}:{line}" for path, line in references.outside_uses(project, port))
    return list(dict.fromkeys(found))


def left(project: Project, facts: StageFacts, settings: Settings, reason: str) -> Iterator[str]:
    """Yield one sentence for each port below 1024 of a stage that is left alone for another reason than its ports."""
    for port, result in ports.moves(project, facts, settings):
        stated = isinstance(result, Stuck) and reason.startswith(result.reason)
        if stated:
            continue
        if isinstance(result, Stuck):
            found = places(project, facts, result.uses) if result.uses is not None else []
        else:
            there = (one for one in result.edits if one.start < one.stop)  # not what is put in
            found = [place_of(project, edit) for edit in there]
        if found:
            yield f"port {port} stays with it: it is named in {listed(found)}"


def listed(places: Iterable[str]) -> str:
    """Return places as a list to read, each once; a repository that names a port everywhere has more than one reads."""
    found = list(dict.fromkeys(places))
    return ", ".join(found[:MOST]) + (f" and {len(found) - MOST} more" if len(found) > MOST else "")


def place_of(project: Project, edit: Edit) -> str:
    """Return ``path:line`` of an edit."""
    return f"{edit.path}:{(project.read(edit.path) or b'').count(10, 0, edit.start) + 1}"


def published(project: Project, facts: StageFacts, port: int) -> Iterator[str]:
    """Yield the lines of the Compose files that publish or state the port for the image's services."""
    for service in compose.services_of(project, facts.stage):
        text = (project.read(service.file) or b"").decode("utf-8", "replace")
        for key in ("ports", "expose"):
            node = compose.entry(service.node, key)
            items = node.value if node is not None and node.id == "sequence" else []
            for item, value in zip(items, sequence(service.values.get(key)), strict=False):
                scalar = compose.entry(item, "target") if item.id == "mapping" else item
                position = (
                    None if scalar is None or scalar.id != "scalar" else container_port_position(text, scalar, port)
                )
                unclear = position == UNCLEAR and re.search(rf"(?<![\w.]){port}(?![\w.])", str(value))
                if unclear or (position is not None and position >= 0):
                    yield f"{service.file}:{item.start_mark.line + 1}"


def configured(project: Project, port: int) -> Iterator[str]:
    """Yield the lines of configuration in the image's build context that make something listen on the port."""
    if project.root is None:
        return
    for file in references.files_below(project.root / context.build_context(project)):
        kinds = [one for globs, one in patterns(port) if any(fnmatchcase(file.name, glob) for glob in globs)]
        path = PurePosixPath(os.path.relpath(file, project.root))
        data = project.read(path) if kinds else None
        if data is None or len(data) > MAXIMUM_SIZE:
            continue
        text = data.decode("utf-8", "replace")
        for match in chain.from_iterable(one.finditer(text) for one in kinds):
            start = text.rfind("\n", 0, match.start("port")) + 1
            if not text[start : match.start("port")].lstrip().startswith(("#", ";", "//")):
                yield f"{path}:{text.count(chr(10), 0, start) + 1}"


@lru_cache(maxsize=16)
def patterns(port: int) -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    """Return the patterns of ``listen_lines.toml`` for a port, each with the globs of the files that it is for."""
    text = Path(__file__).with_name("listen_lines.toml").read_text(encoding="utf-8")
    return tuple(
        (tuple(table["files"]), re.compile(pattern.replace("{port}", str(port))))
        for table in tomli.loads(text)["line"]
        for pattern in table["patterns"]
    )
