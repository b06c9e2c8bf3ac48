"""Whether something in a built image gains privileges while it runs: sudo, setuid programs, file capabilities."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from hardener.packages import package_names
from hardener.runtime.sources import copied_files, start_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``gains.toml``, with its expressions compiled and the packages by name."""
    tables = tomli.loads(Path(__file__).with_name("gains.toml").read_text(encoding="utf-8"))
    tables["called"] = re.compile(
        rb"(?<![\w./-])(?:/usr/bin/|/bin/)?("
        + b"|".join(re.escape(one.encode()) for one in tables["words"])
        + rb")(?![\w-])"
    )
    tables["made"] = re.compile("|".join(f"(?:{one})" for one in tables["steps"]).encode())
    tables["packages"] = {name: one["reason"] for one in tables["package"] for name in one["names"]}
    return tables


def gains_of(project: Project, facts: StageFacts) -> tuple[str | None, str]:
    """Return how a stage gains privileges (``""``: nothing does; ``None``: not known), and why that is not known.

    Known is it where the base image is one of those whose programs are the project's to choose, and every file that the
    image starts or is built from can be read.
    """
    if facts.image is None:
        return None, f"nothing is known of the base image {facts.reference or facts.stage.base}"
    if facts.image.outcome not in ("plain", "server") and facts.image.family not in ("distroless", "scratch"):
        return None, f"what the base image {facts.reference or facts.stage.base} starts is not known"
    found = next(reasons(project, facts), "")
    return found, ""


def reasons(project: Project, facts: StageFacts) -> Iterator[str]:
    """Yield how a stage gains privileges, each with its place."""
    table = knowledge()
    text = project.dockerfile.data  # stages that are copied from count too: COPY keeps file capabilities
    made = table["made"].search(text)
    if made is not None:
        where = f"{project.dockerfile_path}:{line_of(text, made.start())}"
        yield f"{where}: {made[0].decode('latin-1')} gives a program rights"
    for step, command in facts.run_commands:
        for name in package_names(command):
            if name in table["packages"]:
                where = f"{project.dockerfile_path}:{step.instruction.line}"
                yield f"{where}: the package {name}: {table['packages'][name]}"
    for path, data in (*start_texts(project, facts), *copied_files(project).read):
        called = table["called"].search(data)
        if called is not None:
            yield f"{path}:{line_of(data, called.start())}: it calls {called[1].decode()}"


def line_of(data: bytes, offset: int) -> int:
    """Return the line (1-based) of an offset."""
    return data.count(b"\n", 0, offset) + 1
