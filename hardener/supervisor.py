"""supervisord's configuration: the programs that it starts, and whether it can start them without root.

Without root it ends at once where a ``user=`` asks for somebody else ("Can't drop privilege as nonroot user", also for
root), and where its log or pid file lies in a folder that it may not write.
Source: https://supervisord.org/configuration.html
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import context, shell
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import OWN_OUTPUT, TEMPORARY, absolute, below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

SECTION = lazy_pattern(rb"^\[[ \t]*([^\]\r\n]+?)[ \t]*\]")
OPTION = lazy_pattern(rb"^([\w.-]+)[ \t]*[=:][ \t]*([^\r\n]*)")
COMMENT = lazy_pattern(rb"[ \t][;#].*$")
# Sections that neither start nor write anything.
HARMLESS = frozenset(("supervisorctl", "rpcinterface:supervisor"))
PROGRAM = lazy_pattern(r"(?:program|eventlistener):.+")
OUTPUT = lazy_pattern(OWN_OUTPUT + r"|(?i:none|auto|syslog)")
# What a program's words must not have: supervisord knows no shell, and replaces `%(ENV_X)s` itself.
NOT_PLAIN = lazy_pattern(rb"[$`&|;<>\\]|%\(")
LISTENS = lazy_pattern(r"(?i)\w*(?:PORT|ADDR|BIND|LISTEN)\w*=\"?'?(?:[\w.]*:)?(?P<port>\d+)")


class Option(NamedTuple):
    """One option: its value without a comment, the offset where that begins, and the line (1-based)."""

    value: str
    start: int
    line: int


class Section(NamedTuple):
    """A section: its name, its line, and its options by name."""

    name: str
    line: int
    options: dict[str, Option]


def configuration_path(command: Command) -> str | None:
    """Return the absolute path of the file that a start of supervisord names, ``None`` where it names none.

    Also ``None`` for options that set something besides.
    """
    words = [one.text for one in command.arguments]
    found: str | None = None
    while words:
        word = words.pop(0)
        name, equals, value = (word or "").partition("=")
        if name in ("-c", "--configuration"):
            found = value if equals else (words.pop(0) if words else None)
        elif word not in ("-n", "--nodaemon"):
            return None
    return absolute(found, command.directory or "/") if found else None


@lru_cache(maxsize=64)
def sections(data: bytes) -> tuple[Section, ...] | None:
    """Return the sections of a configuration; ``None`` where it has values of several lines, or is none."""
    found: list[Section] = []
    offset = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if line.strip() and not line.lstrip().startswith((b"#", b";")):
            header, option = SECTION.match(line), OPTION.match(line)
            if header is not None:
                found.append(Section(header[1].decode("utf-8", "replace"), number, {}))
            elif option is None or not found:
                return None
            else:
                value = COMMENT.sub(b"", option[2]).strip().decode("utf-8", "surrogateescape")
                name = option[1].decode().lower()
                found[-1].options[name] = Option(value, offset + option.start(2), number)
        offset += len(raw) + 1
    return tuple(found)


def is_configuration(data: bytes) -> bool:
    """Whether a file is supervisord's, and not a script that writes one."""
    return re.search(rb"(?m)^\[supervisord\]|^\[program:", data) is not None and sections(data) is not None


class Program(NamedTuple):
    """What supervisord starts: the offset of its command line, that, and the directory where the option names it."""

    start: int
    code: bytes
    directory: str | None


def programs(data: bytes) -> Iterator[Program]:
    """Yield the programs of a configuration."""
    for section in sections(data) or ():
        command = section.options.get("command")
        if PROGRAM.fullmatch(section.name) and command is not None:
            directory = section.options.get("directory")
            code = command.value.encode("utf-8", "surrogateescape")
            yield Program(command.start, code, directory.value if directory is not None else None)


def commands(data: bytes, folder: str | None) -> tuple[Command, ...]:
    """Return what supervisord runs, as commands; ``folder`` is its own working directory."""
    return tuple(found for one in programs(data) for found in words_of(one.code, one.start, one.directory or folder))


def words_of(code: bytes, start: int, folder: str | None) -> tuple[Command, ...]:
    """Return the commands of one command line, none where it is not one that can be read."""
    try:
        return shell.commands(code, start, folder)
    except shell.ShellError:
        return ()


def problem(project: Project, facts: StageFacts, command: Command) -> str | None:
    """Return why supervisord cannot start its programs as another user, with the place; ``None`` where it can."""
    path = configuration_path(command)
    if path is None:
        return "its configuration is not named by -c alone, so that of the package may count"
    found = context.origin(project, facts, path)
    if found is None or found.data is None or found.path is None:
        return f"{path} is not in the build context here"
    parsed = sections(found.data)
    if parsed is None:
        return f"{found.path}:1: it is not written as one line for each option"
    for section in parsed:
        reason = section_problem(project, facts, section)
        if reason is not None:
            return f"{found.path}:{reason}"
    main = next((one for one in parsed if one.name == "supervisord"), Section("supervisord", 1, {}))
    if not {"logfile", "pidfile"}.issubset(main.options) and not may_write(project, facts, "supervisord.log"):
        return f"{found.path}:{main.line}: it writes its log and pid file in {facts.workdir or '/'}, which stays root's"
    return None


def section_problem(project: Project, facts: StageFacts, section: Section) -> str | None:
    """Return why a section needs root, as ``line: reason``; ``None`` where it does not."""
    options = section.options
    if section.name in HARMLESS:
        return None
    user = options.get("user") or options.get("chown")
    if user is not None:
        return f"{user.line}: [{section.name}] asks for the user {user.value}, to which only root can change"
    for name, one in options.items():
        if (name.endswith("logfile") or name in ("pidfile", "file")) and not may_write(project, facts, one.value):
            return f"{one.line}: it writes {one.value}, where only root may"
        if name == "childlogdir" and not below(one.value, TEMPORARY):
            return f"{one.line}: it writes in {one.value}, where only root may"
    port = options.get("port")
    if section.name == "inet_http_server" and (port is None or int(re.sub(r".*:|\D", "", port.value) or 0) < 1024):
        return f"{section.line}: it listens itself on {port.value if port else 'a port'}"
    if section.name in ("supervisord", "unix_http_server", "inet_http_server") or section.name.startswith("group:"):
        return None
    if not PROGRAM.fullmatch(section.name):
        return f"{section.line}: what its [{section.name}] needs is not known"
    return program_problem(project, facts, section)


def program_problem(project: Project, facts: StageFacts, section: Section) -> str | None:
    """Return why a program may need root, as ``line: reason``; ``None`` where it does not.

    Only run times are let through, with files that the project brings: what else a program writes is not looked for
    in the way that it is where the image starts it itself.
    """
    from hardener.processes import knowledge  # noqa: PLC0415  only images with supervisord

    command, directory = section.options.get("command"), section.options.get("directory")
    if command is None or NOT_PLAIN.search(command.value.encode("utf-8", "surrogateescape")):
        return f"{section.line}: the command of [{section.name}] is not plain words"
    if directory is not None and absolute(directory.value, "/") != facts.workdir:
        return f"{directory.line}: [{section.name}] works in {directory.value}, which is not the image's own directory"
    given = section.options.get("environment")
    for match in LISTENS.finditer(given.value if given is not None else ""):
        if int(match["port"]) < 1024:
            return f"{section.line}: its environment names port {match['port']}"
    found = words_of(command.value.encode("utf-8", "surrogateescape"), 0, facts.workdir)
    if len(found) != 1 or shell.program(found[0].name) not in knowledge()["supervised"]["names"]:
        return f"{command.line}: what {command.value.split(' ')[0] or section.name} needs is not known"
    for word in (one.text or "" for one in found[0].arguments):
        path = word.partition("=")[2] or word
        if path.startswith("/") and not is_known(project, facts, path):
            return f"{command.line}: what it does with {path} is not known"
    return None


def is_known(project: Project, facts: StageFacts, path: str) -> bool:
    """Whether a path in a command line is the project's, or one where anybody may write."""
    if OUTPUT.fullmatch(path) or below(path, TEMPORARY) or path.rstrip("/") == facts.workdir:
        return True
    return context.origin(project, facts, absolute(path, "/")) is not None


def may_write(project: Project, facts: StageFacts, value: str) -> bool:
    """Whether supervisord, as the image's user, may write a file: anybody's, or in a directory that is the user's."""
    from hardener.state_directories import state_directories  # noqa: PLC0415  it imports this module's importers

    if OUTPUT.fullmatch(value):
        return True
    path = absolute(value, facts.workdir or "/")
    return below(path, TEMPORARY) or posixpath.dirname(path) in state_directories(project, facts)
