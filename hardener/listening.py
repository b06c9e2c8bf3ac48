"""What decides the port that an image listens on: its start command, variables, sources and base image."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import compose, program_sources, server_configuration, start_files
from hardener.edit import Edit, Span
from hardener.lazy_pattern import lazy_pattern
from hardener.lines import insertion
from hardener.server_arguments import ADDRESS, EVERYWHERE, knowledge, port_tokens, server_commands
from hardener.variables import assignments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.dockerfile import Word
    from hardener.project import Project
    from hardener.stages import StageFacts, Step

PRIVILEGED = range(1, 1024)
PORT = "{new port}"
# Variables that are a program's own port by their name alone.
OWN_NAME = lazy_pattern(
    r"(?:(?:APP|APPLICATION|API|WEB|HTTPS?|SERVER|SERVICE|LISTEN|NODE|NITRO|BIND|CONTAINER|GUNICORN|UVICORN|HTTP_SERVER)_)?"
    r"(?:PORT|ADDR|ADDRESS|BIND|LISTEN|URLS?)"
)


# What a Compose service may tell a run time with.
ASKED = ("environment", "env_file", "command", "entrypoint", "ports")


def deciding(project: Project, facts: StageFacts) -> tuple[tuple[int, Edit, int], ...]:
    """Return what decides the port the server listens on: port, edit and line.

    The edit's text is empty where only the digits change, else it has ``PORT`` where the new number goes.
    """
    found: list[tuple[int, Edit, int]] = []
    path = project.dockerfile_path
    data = project.dockerfile.data
    for server, words in server_commands(facts):
        for token, port in port_tokens(server, words):
            if port in PRIVILEGED:
                written = data[token.span.start : token.span.stop].strip(b"\"'")
                if written != token.text.encode("utf-8", "surrogateescape"):
                    continue  # an escape, a variable or a script in a script: not where the digits can be changed
                digits = data.rfind(str(port).encode(), token.span.start, token.span.stop)
                edit = Edit(path, digits, digits + len(str(port)), b"")
                found.append((port, edit, project.dockerfile.line_of(digits)))
    found += default_ports(project, facts)
    for name, port, span, line in variable_ports(facts):
        if decides_here(project, facts, name, port):
            found.append((port, Edit(path, span.start, span.stop, b""), line))
    found += literals(project, facts)
    found += base_ports(project, facts)
    configured = server_configuration.understood(project, facts)
    if configured is not None:
        found += [one for one in configured.moving() if one[0] in PRIVILEGED]
    return tuple(found)


def default_ports(project: Project, facts: StageFacts) -> Iterator[tuple[int, Edit, int]]:
    """Yield the defaults of variables in a start command, such as ``gunicorn -b :${PORT:-80}``."""
    for step in (facts.entrypoint, facts.command):
        if step is None or not any(server["names"] != ["*"] for server, _ in server_commands(facts)):
            continue
        begin, stop = step.instruction.arguments
        for match in start_files.DEFAULT.finditer(project.dockerfile.data, begin, stop):
            if int(match[2]) in PRIVILEGED:
                edit = Edit(project.dockerfile_path, match.start(2), match.end(2), b"")
                yield int(match[2]), edit, step.instruction.line


@lru_cache(maxsize=64)
def variable_names(project: Project, facts: StageFacts) -> frozenset[str]:
    """Return the environment variables that decide the port: of the server, the base image and the sources."""
    names = {name for server, _ in server_commands(facts) for name in server.get("variables", ())}
    for reader in knowledge()["reader"] if facts.image is not None else ():
        if any(fnmatchcase(facts.reference or "", pattern) for pattern in reader["images"]):
            names |= set(reader["variables"])
    return frozenset(names | program_sources.reading(project, facts).variables)


def decides(project: Project, facts: StageFacts, name: str) -> bool:
    """Whether an environment variable decides the port of the image's program.

    A listener was followed to it, or its name says so and something reads it; ``SMTP_PORT`` is another host's.
    """
    if name in variable_names(project, facts):
        return True
    from hardener import references  # noqa: PLC0415  few images have such a variable

    return OWN_NAME.fullmatch(name) is not None and references.reads_variable(project, facts, name)


def decides_here(project: Project, facts: StageFacts, name: str, port: int) -> bool:
    """Whether an ARG or ENV of the Dockerfile decides a port: also one of any name that the start command hands on."""
    if decides(project, facts, name):
        return True
    from hardener import references  # noqa: PLC0415

    stated = {one for step in facts.steps if step.instruction.keyword == "EXPOSE" for one in numbers(step)}
    return port in stated and references.starts_with(facts, name)


def literals(project: Project, facts: StageFacts) -> Iterator[tuple[int, Edit, int]]:
    """Yield the ports below 1024 that the program's sources bind by a literal, with the start command's line."""
    first = facts.command or facts.entrypoint
    line = first.instruction.line if first is not None else facts.stage.instructions[0].line
    reading = program_sources.reading(project, facts)
    stated = {one for step in facts.steps if step.instruction.keyword == "EXPOSE" for one in numbers(step)}
    set_here = any(name in facts.variables for name in reading.variables)  # then a literal is a default never used
    for one in reading.literals:
        if one.port in PRIVILEGED and (one.port in stated or not set_here):
            yield one.port, Edit(one.path, one.span.start, one.span.stop, b""), line


def base_ports(project: Project, facts: StageFacts) -> Iterator[tuple[int, Edit, int]]:
    """Yield the ports that a variable of the base image decides, with the place for the line that overrides it."""
    if facts.image is None or facts.image.outcome != "plain" or exposes_only_high_ports(facts):
        return
    in_sources = {one.port for one in program_sources.reading(project, facts).literals}
    for port in facts.image.ports:
        if port in in_sources:
            continue  # code and settings of the application go before the variable
        for base in knowledge()["base"]:
            named = any(fnmatchcase(facts.reference or "", pattern) for pattern in base["images"])
            if named and not any(name in facts.variables for name in base["variables"]):
                first = facts.stage.instructions[0]
                text = base["line"].replace("{port}", PORT)
                place = insertion(project, first.span.stop, [text])
                yield port, place, first.line


def is_unbound(project: Project, facts: StageFacts, port: int) -> bool:
    """Whether EXPOSE states a port that the base image's run time opens only when it is told, and nothing tells it."""
    bases = (one for one in knowledge()["base"] if any(fnmatchcase(facts.reference or "", p) for p in one["images"]))
    if not any(port in base.get("unbound", ()) for base in bases):
        return False
    texts = [str(one.values.get(key)) for one in compose.services_of(project, facts.stage) for key in ASKED]
    texts += [
        step.instruction.value for step in facts.steps if step.instruction.keyword in ("ENV", "CMD", "ENTRYPOINT")
    ]
    read = program_sources.reading(project, facts)
    return not read.blocking and not any(re.search(rf"(?i)https|(?<![\w.]){port}(?![\w.])", text) for text in texts)


def variable_ports(facts: StageFacts) -> Iterator[tuple[str, int, Span, int]]:
    """Yield name, port, span of the digits and line of each ARG or ENV that holds a privileged port or address."""
    for step in facts.steps:
        instruction = step.instruction
        if instruction.keyword not in ("ENV", "ARG"):
            continue
        legacy = "=" not in (instruction.words[0].text if instruction.words else "=")
        for name, value in assignments(instruction, step.variables).items():
            if value is None or not re.search(r"PORT|URL|BIND|ADDR|LISTEN", name):
                continue
            for word in instruction.words:
                if word.text.startswith(f"{name}=") or (legacy and word is instruction.words[-1]):
                    yield from ((name, port, span, instruction.line) for port, span in ports_of(word, value))


def ports_of(word: Word, value: str) -> Iterator[tuple[int, Span]]:
    """Yield the privileged ports of a variable's value and where their digits stand in the word that sets it.

    Several addresses may stand in it, with ``;`` between them, as ASP.NET takes them.
    """
    text = word.text.rstrip("\"'/")
    if not text.endswith(value.rstrip("/")) or word.span.stop - word.span.start != len(word.text):
        return
    begin = word.span.start + len(text) - len(value.rstrip("/"))
    for part in re.finditer("[^;]+", value):
        match = ADDRESS.match(part[0])
        if match is not None and EVERYWHERE.match(part[0]) is not None and int(match["port"]) in PRIVILEGED:
            start = begin + part.start() + match.start("port")
            yield int(match["port"]), Span(start, start + len(match["port"]))


def exposes_only_high_ports(facts: StageFacts) -> bool:
    """Whether EXPOSE speaks of ports from 1024 on alone: then the program chose its port by itself."""
    found = [one for step in facts.steps if step.instruction.keyword == "EXPOSE" for one in numbers(step)]
    return bool(found) and all(number not in PRIVILEGED for number in found)


def numbers(step: Step) -> Iterator[int]:
    """Yield the port that each word of an EXPOSE begins with."""
    for word in step.instruction.words:
        match = re.match(r"\d+", word.text)
        if match is not None:
            yield int(match[0])
