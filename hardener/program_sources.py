"""What decides the port of the program that an image starts, read from its sources; asked language by language.

Sources are read only where the image states a port below 1024, or its entry file looks as if it binds one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import node_program, processes, python_program, shell, start_files
from hardener.copied_sources import contributing
from hardener.lazy_pattern import lazy_pattern
from hardener.source_reading import Reading

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.stages import StageFacts

# What binds a port below 1024 has such a number near one of these words.
MAY_BE_PRIVILEGED = lazy_pattern(rb"(?i)(?:listen|port|addr|serve|Run|Start)[^\n]{0,80}?(?<![\w.])\d{1,3}(?![\w.])")
# What a Python source must have before it is worth parsing: a port or an address with one to three digits, or, where
# the image states such a port, anything that listens.
MAY_BIND = lazy_pattern(rb"(?i)port\W{1,16}\d{1,3}\b|\(\(.{0,40},\s*\d{1,3}\s*\)")
MAY_LISTEN = lazy_pattern(rb"(?i)port|\bimport\b")
STATED = lazy_pattern(r"(?<![\w.])\d{1,3}(?![\w.])")
PORT_VARIABLE = lazy_pattern(r"(?:PORT|URL|BIND|ADDR|LISTEN)\w*[=\s]\S*?(?<![\w.])\d{1,3}(?![\w.])", re.IGNORECASE)


@lru_cache(maxsize=64)
def reading(project: Project, facts: StageFacts) -> Reading:
    """Return what the sources of the program that a stage starts say of its port."""
    found = Reading()
    stated = states_privileged(project, facts)
    found.merge(start_files.reading(project, facts))
    for entry in node_program.entries(project, facts):
        if stated or MAY_BE_PRIVILEGED.search(project.read(entry) or b""):
            from hardener import node_source  # noqa: PLC0415  the grammar is only for Node programs

            found.merge(node_source.read(project, entry))
    for script, top in python_program.entries(project, facts):
        source = project.read(script) or b""
        if MAY_BIND.search(source) or (stated and MAY_LISTEN.search(source)):
            from hardener import python_source  # noqa: PLC0415  libcst is only for Python programs

            found.merge(python_source.read(project, script, top))
    if builds_with(project, facts, "go"):
        found.merge(go_reading(project, facts, stated=stated))
    names = {shell.program(command.name) for command in processes.started(facts) or ()}
    if "java" in names or builds_with(project, facts, "mvn", "mvnw", "./mvnw", "gradle", "gradlew", "./gradlew"):
        from hardener import jvm_settings  # noqa: PLC0415  only for programs in Java

        found.merge(jvm_settings.reading(project, facts, stated=stated))
    if stated:
        from hardener import literal_patterns  # noqa: PLC0415  only where a port below 1024 is stated

        found.merge(literal_patterns.reading(project, facts))
    found.merge(start_files.assigned(project, facts, found.variables))
    return found


def states_privileged(project: Project, facts: StageFacts) -> bool:
    """Whether EXPOSE, ENV, ARG or a Compose service may state a port below 1024."""
    from hardener import compose_ports  # noqa: PLC0415  it asks this module

    patterns = {"EXPOSE": STATED, "ENV": PORT_VARIABLE, "ARG": PORT_VARIABLE}
    return any(
        patterns[step.instruction.keyword].search(step.instruction.value)
        for step in facts.steps
        if step.instruction.keyword in patterns
    ) or any(True for _ in compose_ports.published(project, facts.stage))


def builds_with(project: Project, facts: StageFacts, *tools: str) -> bool:
    """Whether the image, or a stage that it copies from, runs one of these build tools."""
    commands = [command for stage in contributing(project, facts) for _, command in stage.run_commands]
    return any(shell.program(command.name) in tools for command in (*commands, *(processes.started(facts) or ())))


def go_reading(project: Project, facts: StageFacts, *, stated: bool) -> Reading:
    """Return what the Go program of an image says of its port."""
    from hardener import go_program  # noqa: PLC0415  only Go programs pay for it

    files = go_program.program_files(project, facts)
    own = [path for path in files if path.parent == files[0].parent]
    if not stated and not any(MAY_BE_PRIVILEGED.search(project.read(path) or b"") for path in own):
        return Reading()
    from hardener import go_source  # noqa: PLC0415

    return go_source.read(project, files)
