"""Ports in the files that a start command leads to: scripts, package.json, Procfile, uwsgi.ini, gunicorn.conf.py."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from hardener import context, node_program, processes, procfiles, server_arguments, shell, supervisor
from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute
from hardener.source_reading import Literal, Reading, place
from hardener.start_scripts import is_shell_script, script_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import PurePosixPath

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

MAXIMUM_DEPTH = 4
# `${PORT:-80}`, `${PORT:=80}`: a default in shell code.
DEFAULT = lazy_pattern(rb"\$\{(\w*(?:PORT|ADDR|BIND|LISTEN)\w*):?[-=](?:[\w.]*:)?(\d{1,5})\}")
ASSIGNED = lazy_pattern(
    rb"(?m)(?:^|[\s;])(?:export\s+)?(\w*(?:PORT|ADDR|BIND|LISTEN)\w*)=[\"']?(?:[\w.]*:)?(\d{1,5})[\"']?(?=[\s;]|$)"
)
# https://uwsgi-docs.readthedocs.io/en/latest/Options.html#http
UWSGI = lazy_pattern(
    rb"(?m)^[ \t]*(?:https?|http-socket|https-socket|socket)[ \t]*=[ \t]*(?:0\.0\.0\.0|\*|\[::\])?:(\d{1,5})\b"
)
# https://docs.gunicorn.org/en/stable/configure.html#configuration-file
GUNICORN = lazy_pattern(rb"(?m)^bind[ \t]*=[ \t]*\[?[ \t]*[rf]?[\"'](?:0\.0\.0\.0|\[::\]|\*)?:(\d{1,5})[\"']")
GUNICORN_BIND = lazy_pattern(rb"(?m)^[ \t]*bind[ \t]*=")


class StartFile(NamedTuple):
    """A file that the start leads to, the offset of its shell code in it, that code, and its commands."""

    path: PurePosixPath
    offset: int
    code: bytes
    commands: tuple[Command, ...]


@lru_cache(maxsize=64)
def start_files(project: Project, facts: StageFacts) -> tuple[StartFile, ...]:
    """Return the shell code that a start leads to: scripts, scripts of package.json, lines of a Procfile."""
    found: dict[tuple[PurePosixPath, int], StartFile] = {}
    for command in processes.started(facts) or ():
        for one in files_of(project, facts, command, 0):
            found.setdefault((one.path, one.offset), one)
    return tuple(found.values())


def files_of(project: Project, facts: StageFacts, command: Command, depth: int) -> Iterator[StartFile]:
    """Yield the shell code of one start command, and what that leads to."""
    if depth > MAXIMUM_DEPTH:
        return
    for path, offset, code in (*script(project, facts, command), *package(project, facts, command),
                               *procfile(project, facts, command)):  # fmt: skip
        try:
            commands = shell.commands(code.replace(b"\r\n", b" \n"), offset, command.directory or facts.workdir)
        except shell.ShellError:
            commands = ()
        yield StartFile(path, offset, code, commands)
        for inner in commands:
            yield from files_of(project, facts, inner, depth + 1)
    yield from supervised(project, facts, command)


def supervised(project: Project, facts: StageFacts, command: Command) -> Iterator[StartFile]:
    """Yield the command lines of the programs that supervisord starts."""
    path = supervisor.configuration_path(command) if shell.program(command.name) == "supervisord" else None
    found = context.origin(project, facts, path) if path is not None else None
    if found is None or found.path is None or found.data is None:
        return
    for one in supervisor.programs(found.data):
        commands = supervisor.words_of(one.code, one.start, one.directory or facts.workdir)
        yield StartFile(found.path, one.start, one.code, commands)


def script(project: Project, facts: StageFacts, command: Command) -> Iterator[tuple[PurePosixPath, int, bytes]]:
    """Yield the shell script of the context that a command executes."""
    path = script_path(command)
    found = context.origin(project, facts, path) if path is not None else None
    if found is not None and found.path is not None and found.data is not None and is_shell_script(found.data):
        yield found.path, 0, found.data


def package(project: Project, facts: StageFacts, command: Command) -> Iterator[tuple[PurePosixPath, int, bytes]]:
    """Yield the script of package.json that a command runs, where it stands there without an escape."""
    found = node_program.script_of(project, facts, command, command.directory or facts.workdir or "/")
    if found is None:
        return
    text, path = found
    code = text.encode("utf-8", "surrogateescape")
    data = project.read(path) or b""
    begin = data.find(b'"scripts"')
    offset = data.find(b'"' + code + b'"', max(begin, 0)) + 1
    if begin >= 0 and offset and json.dumps(text) == f'"{text}"':
        yield path, offset, code


def procfile(project: Project, facts: StageFacts, command: Command) -> Iterator[tuple[PurePosixPath, int, bytes]]:
    """Yield the command of each line of the Procfile that foreman or honcho start."""
    path = procfiles.procfile_path(command)
    found = context.origin(project, facts, path) if path is not None else None
    if found is None or found.path is None or found.data is None:
        return
    for offset, code in procfiles.lines(found.data):
        yield found.path, offset, code


def reading(project: Project, facts: StageFacts) -> Reading:
    """Return what the files that a start leads to say of the port."""
    found = Reading()
    for one in start_files(project, facts):
        data = project.read(one.path) or b""
        for server, words in server_arguments.servers_of(one.commands):
            found.variables |= set(server.get("variables", ()))
            for token, port in server_arguments.port_tokens(server, words):
                digits = data.rfind(str(port).encode(), token.span.start, token.span.stop)
                if digits >= 0:
                    found.literals[Literal(port, one.path, Span(digits, digits + len(str(port))))] = None
        handed = handed_on(one)
        for pattern in (DEFAULT, ASSIGNED):
            for match in pattern.finditer(one.code):
                if match[1].decode() in handed:
                    span = Span(one.offset + match.start(2), one.offset + match.end(2))
                    found.literals[Literal(int(match[2]), one.path, span)] = None
                    found.variables.add(match[1].decode())
    commands = [*(processes.started(facts) or ()), *(c for one in start_files(project, facts) for c in one.commands)]
    for command in commands:
        found.merge(server_settings(project, facts, command))
    return found


def assigned(project: Project, facts: StageFacts, variables: set[str]) -> Reading:
    """Return the values that start files give the variables which the program's sources listen on."""
    found = Reading()
    for one in start_files(project, facts):
        for pattern in (DEFAULT, ASSIGNED):
            for match in pattern.finditer(one.code):
                if match[1].decode() in variables:
                    span = Span(one.offset + match.start(2), one.offset + match.end(2))
                    found.literals[Literal(int(match[2]), one.path, span)] = None
    return found


def handed_on(one: StartFile) -> frozenset[str]:
    """Return the variables that shell code gives a known server as its port, or as an address that ends in it."""
    found: set[str] = set()
    for server, words in server_arguments.servers_of(one.commands):
        options = server.get("options", [])
        code = [one.code[word.span.start - one.offset : word.span.stop - one.offset] for word in words]
        for position, raw in enumerate(code):
            flag, equals, _ = raw.decode("latin-1").partition("=")
            before = code[position - 1].decode("latin-1") if position else ""
            match = re.search(rb"(?:^|[:=\"' ])\$\{?(\w+)(?::?[-=][^}]*)?\}?[\"']?$", raw)
            if match is not None and (before in options or (equals and flag in options) or server.get("positional")):
                found.add(match[1].decode())
    return frozenset(found)


def server_settings(project: Project, facts: StageFacts, command: Command) -> Reading:
    """Return what the settings file of gunicorn or uWSGI says of the port."""
    found = Reading()
    words = [argument.text or "" for argument in command.arguments]
    folder = command.directory or facts.workdir or "/"
    name = shell.program(command.name)
    if name == "uwsgi":
        given = [word.removeprefix("--ini=") for word in words if word.endswith(".ini")]
        pattern, other = UWSGI, None
    elif "gunicorn" in name and not any(word.startswith(("-b", "--bind")) for word in words):
        given = [after for before, after in pairwise(words) if before in ("-c", "--config")]
        given += [word.partition("=")[2] for word in words if word.startswith("--config=")]
        given = given or ["gunicorn.conf.py"]
        pattern, other = GUNICORN, GUNICORN_BIND
    else:
        return settings_files(project, facts, (name, *words), folder)
    for one in given:
        origin = context.origin(project, facts, absolute(one.removeprefix("file:"), folder))
        if origin is None or origin.path is None or origin.data is None:
            continue
        matches = list(pattern.finditer(origin.data))
        for match in matches:
            found.literals[Literal(int(match[1]), origin.path, Span(*match.span(1)))] = None
        unclear = other.search(origin.data) if other is not None and not matches else None
        if unclear is not None:
            found.unclear[place(origin.path, origin.data, unclear.start())] = None
    return found


def settings_files(project: Project, facts: StageFacts, words: tuple[str, ...], folder: str) -> Reading:
    """Return what the settings files of the ``[[settings]]`` in ``ports.toml`` say, for the words of one command."""
    found = Reading()
    for table in server_arguments.knowledge()["settings"]:
        given = {word.partition("=")[0] for word in words}
        if not any(word.rpartition("/")[2] in table["names"] for word in words[:3]) or given & {*table["without"]}:
            continue
        key = next((one for one in table["keys"] if one in words), table["keys"][0])
        pattern = re.compile(table["pattern"].replace("{key}", key).encode())
        for name in table["files"]:
            origin = context.origin(project, facts, absolute(name, folder))
            if origin is not None and origin.path is not None and origin.data is not None:
                for match in pattern.finditer(origin.data):
                    found.literals[Literal(int(match["port"]), origin.path, Span(*match.span("port")))] = None
    return found


def unexplained(
    project: Project, facts: StageFacts, port: int, moved: Iterable[tuple[PurePosixPath, int]]
) -> str | None:
    """Return ``path:line`` of a start file that names the port where nothing moves it, ``None`` without one.

    ``moved`` has path and start of every edit.  Comments do not count, nor do the other words of a known server.
    """
    known = set(moved)
    for one in start_files(project, facts):
        moves_here = any(path == one.path for path, _ in known)
        server_words = [
            token.span
            for server, words in server_arguments.servers_of(one.commands)
            if (moves_here and server["names"] != ["*"])
            or any(found == port for _, found in server_arguments.port_tokens(server, words))
            for token in words
        ]
        for match in re.finditer(rb"(?<![\w.])%d(?![\w.])" % port, one.code):
            line = one.code[one.code.rfind(b"\n", 0, match.start()) + 1 : match.start()]
            at = one.offset + match.start()
            if b"#" in line or (one.path, at) in known or any(s.start <= at < s.stop for s in server_words):
                continue
            return place(one.path, project.read(one.path) or b"", at)
    return None


def health_scripts(project: Project, facts: StageFacts) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield path and content of each file of the context that a HEALTHCHECK runs."""
    for step in facts.steps:
        if step.instruction.keyword != "HEALTHCHECK":
            continue
        for word in re.split(r"[\s\"',\[\]|;&]+", step.instruction.value):
            if not re.search(r"\.(?:sh|py|js|mjs|cjs|rb|php)$|^(?:\./|/)[\w./-]*health[\w./-]*$", word):
                continue
            found = context.origin(project, facts, absolute(word, facts.workdir or "/"))
            if found is not None and found.path is not None and found.data is not None:
                yield found.path, found.data
