"""What the server of an official image is configured to do: the files it reads, followed from the first one on."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, context, privileges, server_changes, shell
from hardener.command_paths import WRITING, resolved
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.server_files import Files, ImageFile, Scope, image_files
from hardener.server_mounts import overlays
from hardener.server_reading import Change, Listen, Reading, Unknown
from hardener.server_start import option_words, runs_hooks, runs_server, start_commands
from hardener.servers import Server, Shipped, is_server_program, server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

# Commands that give an account other ids.
RENUMBERING = frozenset(("usermod", "groupmod", "deluser", "delgroup", "userdel", "groupdel"))
DEEPEST = 10
VARIABLE_LISTEN = lazy_pattern(rb"(?P<before>\blisten[ \t]+(?:\[::\]:)?)(?P<word>\$\{(?P<name>\w+)\})")
# Build files of buildx, whose `contexts` may replace a base image by another target.
BAKE = ("docker-bake.hcl", "docker-bake.json", "docker-bake.override.hcl", "docker-bake.override.json")


class Image(NamedTuple):
    """The stage whose files are followed."""

    project: Project
    facts: StageFacts


class Read(NamedTuple):
    """One file of the project that the server reads, and what it says."""

    path: str
    file: ImageFile
    reading: Reading


class Configuration(NamedTuple):
    """Everything that a server is configured to do.

    ``read`` are the project's own files, ``shipped`` those of the image that are read as they are.  ``rendered``
    are files that the image's entrypoint writes from templates at every start.
    """

    server: Server
    read: tuple[Read, ...] = ()
    shipped: tuple[Shipped, ...] = ()
    rendered: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """Those of ``rendered`` that are there before, as root's."""
    files: Files | None = None
    opaque: tuple[str, ...] = ()
    """Folders of the container of which nothing is known, since they are mounted."""
    home: str = ""
    """The folder that relative includes are taken from."""

    @property
    def ports(self) -> frozenset[int]:
        """Every TCP port it listens on."""
        own = {listen.port for one in self.read for listen in one.reading.listens}
        return frozenset(own | {port for one in self.shipped for port in one.ports})

    @property
    def own_ports(self) -> frozenset[int]:
        """The ports that the project's own files make it listen on: those `move_port` has edited, or may."""
        own = (one.reading for one in self.read if one.file.path is not None)
        return frozenset(listen.port for reading in own for listen in reading.listens)

    @property
    def hosts(self) -> frozenset[int]:
        """The ports on which something in the image's own files answers, where something else listens."""
        return frozenset(port for one in self.shipped for port in one.hosts)

    @property
    def shipped_ports(self) -> frozenset[int]:
        """The ports that files of the image make it listen on."""
        return frozenset(port for one in self.shipped for port in one.ports)

    def edits(self) -> tuple[Edit, ...]:
        """Return what has to change in the project's files whatever the port."""
        return unique(edit_of(one.file, change) for one in self.read for change in one.reading.changes)

    def moving(self) -> tuple[tuple[int, Edit, int], ...]:
        """Return port, edit and Dockerfile line of every change that moves a port of the project's files."""
        return tuple(
            dict.fromkeys(
                (listen.port, edit_of(one.file, change), one.file.line)
                for one in self.read
                for listen in (*one.reading.listens, *(host for host in one.reading.hosts if host.port in self.ports))
                for change in listen.changes
            )
        )


def unique(edits: object) -> tuple[Edit, ...]:
    """Return edits without those that stand there twice, since a file may be included twice."""
    return tuple(dict.fromkeys(edits))  # type: ignore[call-overload]


def edit_of(file: ImageFile, change: Change) -> Edit:
    """Return a change of one file as an edit of the project's."""
    assert file.path is not None
    return Edit(file.path, file.offset + change.span.start, file.offset + change.span.stop, change.text)


@lru_cache(maxsize=64)
def configuration(project: Project, facts: StageFacts) -> Configuration | Unknown | None:
    """Return what a stage's server is configured to do, or the reason why that is not known.

    ``None`` for a stage that does not run the own server of its base image.
    """
    server = server_of(facts)
    if server is None or not runs_server(project, facts):
        return None
    if server.main not in ("", *(server.unread or ()), *(one.path for one in server.shipped)):
        return Unknown(1, "its main file is not known")
    stage = project.dockerfile.stages[facts.chain[0]]
    bake = next(
        (folder / name for folder in project.context.parents for name in BAKE if project.exists(folder / name)), None
    )
    if bake is not None and f'"{stage.base}"'.encode() in (project.read(bake) or b""):
        return Unknown(stage.instructions[0].line, f"{bake} may give FROM {stage.base} another meaning")
    try:
        return follow_all(project, facts, server)
    except Unknown as error:
        return error


def follow_all(project: Project, facts: StageFacts, server: Server) -> Configuration:
    """Return the configuration of a stage; raises `Unknown`."""
    first = facts.command or facts.entrypoint
    line = first.instruction.line if first is not None else facts.stage.instructions[0].line
    refuse_compose(project, server, line)
    for step, command in facts.run_commands:
        renumbers = shell.program(command.name) in RENUMBERING and server.user
        if renumbers and any(one.text == server.user for one in command.arguments):
            raise Unknown(step.instruction.line, f"it changes the account {server.user}")
    for step in facts.steps:
        begin, stop = step.instruction.span
        if step.instruction.keyword not in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            continue
        if server.own_pid and re.search(server.own_pid.encode(), step.dockerfile.data[begin:stop]):
            raise Unknown(step.instruction.line, "it looks for the pid file, which moves")
    if server.foreign_logs:
        texts = [value or "" for value in facts.variables.values()]
        texts += [text for _, text in start_commands(project, facts)]
        if any(re.search(server.foreign_logs, text) for text in texts):
            raise Unknown(line, "its options make it write where only root may")
    for name in server.variables:
        if name in facts.variables:
            raise Unknown(line, f"{name} puts its configuration elsewhere")
    server_changes.refuse(project, facts, server)
    folders, shipped = server.folders, tuple(one.path for one in server.shipped)
    stated = {one.path: one.text for one in server.shipped if one.text}
    files = image_files(
        project,
        facts,
        Scope(
            folders,
            shipped,
            server.programs,
            server.workdir,
            server.sensitive,
            stated,
            server.unread or {},
            server.plain_edits,
        ),
    )
    before = frozenset(files)
    rendered = (*render(facts, server, files), *rendered_at_start(project, facts, server, files))
    main = main_file(project, facts, server, line)
    if main == server.main:
        main = next((one for one in server.alternatives if one in files), main)
    replaced = tuple(one for one in rendered if one in before)
    home = posixpath.dirname(main if server.includes_from_main else server.main)
    found = Configuration(server, rendered=rendered, replaced=replaced, files=files, home=home)
    if not main:
        return found
    bare = found
    found = follow(Image(project, facts), found, (main,), line)
    for overlay in overlays(project, server, files, line):
        seen = bare._replace(files=overlay.files, opaque=overlay.opaque)
        top = next((one for one in server.alternatives if one in overlay.files and main in server.alternatives), main)
        found = merged(found, follow(Image(project, facts), seen, (top,), line))
    if not found.ports:
        raise Unknown(line, "nothing in its configuration says where it listens")
    return found


def merged(found: Configuration, other: Configuration) -> Configuration:
    """Return what is configured in one of two ways to run an image."""
    read = (*found.read, *(one for one in other.read if one not in found.read))
    return found._replace(read=read, shipped=tuple(dict.fromkeys((*found.shipped, *other.shipped))))


def refuse_compose(project: Project, server: Server, line: int) -> None:
    """Raise `Unknown` where a Compose service starts it otherwise, or leaves it no place to write."""
    for service in compose.services(project):
        where = f"{service.file}:{service.line}"
        for key in ("command", "entrypoint"):
            value = service.values.get(key)
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
            plain = text.replace('"', "").replace("'", "").split()
            if plain and (plain[0] not in server.programs or plain[1:] not in ([], ["-g", "daemon", "off;"])):
                raise Unknown(line, f"{where}: its Compose service has a {key} of its own")
        memory = service.values.get("tmpfs") or ()
        places = [memory] if isinstance(memory, str) else [str(one) for one in memory]
        if str(service.values.get("read_only")).lower() == "true" and "/tmp" not in places:  # noqa: S108
            raise Unknown(line, f"{where}: its root is read-only, without a tmpfs for /tmp")
        if any(":" in one and below(one.partition(":")[0].rstrip("/"), server.own) for one in places):
            raise Unknown(line, f"{where}: a tmpfs with an owner or mode of its own is where it writes")


def render(facts: StageFacts, server: Server, files: Files) -> tuple[str, ...]:
    """Put in the files that the image's entrypoint makes from templates (nginx), and return their paths."""
    if server.kind != "nginx":
        return ()
    if any(name.startswith(("NGINX_ENVSUBST_", "NGINX_ENTRYPOINT_WORKER")) for name in facts.variables):
        raise Unknown(1, "its entrypoint is told to change the configuration elsewhere")
    made: list[str] = []
    for path, file in tuple(files.items()):
        if path.startswith("/etc/nginx/templates/") and path.endswith(".template") and runs_hooks(facts):
            name = f"/etc/nginx/conf.d/{path.removeprefix('/etc/nginx/templates/').removesuffix('.template')}"
            if posixpath.dirname(name) != "/etc/nginx/conf.d":
                raise Unknown(file.line, f"its entrypoint makes {name}")
            files[name] = file
            made.append(name)
    return tuple(made)


def rendered_at_start(project: Project, facts: StageFacts, server: Server, files: Files) -> Iterator[str]:
    """Put in the files that the start commands render by `envsubst`, and yield their paths.

    Raises `Unknown` where the start changes the configuration in another way.
    """
    for command, _ in start_commands(project, facts):
        name = shell.program(command.name)
        written = [resolved(target, command) for operator, target in command.redirects if operator in WRITING]
        into = [path for path in written if path is not None and below(path, server.folders)]
        if name in server.programs or (not into and privileges.only_reads(command)):
            continue
        words = " ".join([*(one.raw for one in command.arguments), *(one.target.raw for one in command.redirects)])
        if not into and not any(folder in words for folder in server.folders):
            continue
        line = (facts.command or facts.entrypoint or facts.steps[0]).instruction.line if facts.steps else 1
        read = [resolved(target, command) for operator, target in command.redirects if operator == "<"]
        source = read[0] if len(read) == 1 else None
        origin = context.origin(project, facts, source) if source is not None else None
        if name != "envsubst" or len(into) != 1 or origin is None or origin.path is None or origin.data is None:
            raise Unknown(line, f"at start, {name or 'a redirection'} changes the configuration")
        files[into[0]] = ImageFile(origin.step.instruction.line, origin.path, 0, origin.data)
        yield into[0]


def main_file(project: Project, facts: StageFacts, server: Server, line: int) -> str:
    """Return the path of the file that the server reads first; raises `Unknown` for options that are not known."""
    main = chosen(option_words(facts), server, line) or server.main
    for command, _ in start_commands(project, facts):
        texts = [one.text or "" for one in command.arguments]
        behind = next((i for i, text in enumerate(texts) if is_server_program(facts, text)), None)
        if is_server_program(facts, command.name):
            main = chosen(texts_of(command), server, line) or main
        elif behind is not None:  # `./wait-for-it.sh db:5432 -- nginx -g "daemon off;"`
            main = chosen(texts_of(command)[behind + 1 :], server, line) or main
    return main


def texts_of(command: Command) -> tuple[str | None, ...]:
    """Return the texts of a command's arguments, ``None`` for one that is only known at run time."""
    return tuple(one.text for one in command.arguments)


def chosen(arguments: tuple[str | None, ...], server: Server, line: int) -> str | None:
    """Return the main file that the options of one start name, ``None`` without one; raises `Unknown`."""
    words = [*arguments]
    found: str | None = None
    position = 0
    while position < len(words):
        word, following = words[position], words[position + 1] if position + 1 < len(words) else None
        option, equals, value = (word or "").partition("=")
        if equals and option in server.options:
            word, words[position : position + 1] = option, [option, value]
            following = value
        if word in server.options and following is not None and following.startswith("/"):
            found = following
            position += 2
        elif word == "-g" and server.reader == "nginx":
            if following is None:
                raise Unknown(line, "its -g option is not known here")
            given = reading_of(server, following.rstrip("; \t\n").encode() + b";")
            if given != Reading():
                raise Unknown(line, f"its -g option is {following}")
            position += 2
        elif word is None or word in server.options or server.reader == "nginx":
            if word not in ("-t", "-q", "-s", "-v", "-V", "reload", "-T", "reopen", "stop", "quit"):
                raise Unknown(line, f"its option {word or 'in a variable'} is not known here")
            position += 1
        else:
            position += 1
    return found


def follow(image: Image, found: Configuration, patterns: tuple[str, ...], line: int, depth: int = 0) -> Configuration:
    """Return ``found`` with the files that ``patterns`` mean, and those that they include; raises `Unknown`."""
    server, files = found.server, found.files or {}
    if depth > DEEPEST:
        raise Unknown(line, "its configuration includes itself")
    for pattern in patterns:
        path = absolute(pattern, found.home)
        if below(path, server.ignored) and path not in files:
            continue
        if below(path, found.opaque):
            raise Unknown(line, f"{path} is mounted from outside the project")
        is_glob = any(mark in path for mark in "*?[")
        if is_glob and not below(path, server.folders):
            raise Unknown(line, f"what {path} brings is not known")
        names = [one for one in sorted(files) if fnmatchcase(one, path)] if is_glob else [path]
        for name in names:
            if posixpath.dirname(name) != posixpath.dirname(path):
                continue  # a star of the server's does not mean a slash
            found = follow_one(image, found, name, line, depth)
    return found


def follow_one(image: Image, found: Configuration, path: str, line: int, depth: int) -> Configuration:
    """Return ``found`` with one file; raises `Unknown`."""
    server = found.server
    file = (found.files or {}).get(path)
    if file is None and not below(path, server.folders):
        origin = context.origin(image.project, image.facts, path)
        if origin is not None and origin.path is not None and origin.data is not None:
            file = ImageFile(origin.step.instruction.line, origin.path, 0, origin.data)
    if file is None:
        raise Unknown(line, f"{path}, which its configuration includes, is not known")
    if file.unknown:
        raise Unknown(file.line, f"{path} {file.unknown}")
    if file.added:
        found = follow_added(image, found, path, file, depth)
    for one in file.appended:
        found = follow_text(image, found, path, one, depth)
    if file.path is None and file.data is not None:
        return found
    if file.data is None:
        own = next((one for one in server.shipped if one.path == path), None)
        if own is None:
            raise Unknown(file.line, f"{path} is a copy of a file of the image")
        if own in found.shipped:
            return found
        return follow(image, found._replace(shipped=(*found.shipped, own)), own.includes, line, depth + 1)
    return follow_text(image, found, path, file, depth)


def follow_text(image: Image, found: Configuration, path: str, file: ImageFile, depth: int) -> Configuration:
    """Return ``found`` with a text that stands in a file of the project; raises `Unknown`."""
    server = found.server
    assert file.data is not None
    data = file.data
    if path in found.rendered:
        data = VARIABLE_LISTEN.sub(lambda match: with_high_port(image, match), data)
    try:
        reading = reading_of(server, data)
    except Unknown as error:
        number = error.line + (image.project.dockerfile.line_of(file.offset) - 1 if file.offset else 0)
        raise Unknown(file.line, f"{file.path}:{number}: {error.reason}") from error
    if file.inline and server.reader == "nginx":
        reading = in_one_line(reading)
    changes = [one for listen in (*reading.listens, *reading.hosts) for one in listen.changes]
    if file.inline and any(re.search(rb"[\n'\"$`\\]", one.text) for one in (*changes, *reading.changes)):
        raise Unknown(file.line, f"{path} is written by a RUN, where it cannot be changed")
    found = found._replace(read=(*found.read, Read(path, file, reading)))
    return follow(image, found, reading.includes, file.line, depth + 1)


def in_one_line(reading: Reading) -> Reading:
    """Return what a file of nginx says with changes that put in no line ends, which mean nothing there."""

    def blank(changes: tuple[Change, ...]) -> tuple[Change, ...]:
        return tuple(one._replace(text=re.sub(rb"\n\s*", b" ", one.text)) for one in changes)

    listens = tuple(one._replace(changes=blank(one.changes)) for one in reading.listens)
    return reading._replace(listens=listens, changes=blank(reading.changes))


def reading_of(server: Server, data: bytes) -> Reading:
    """Return what the server's reader finds in one configuration file; raises `Unknown`."""
    from hardener.server_readers import READERS  # noqa: PLC0415  most images are no server's

    return READERS[server.reader](data)


def with_high_port(image: Image, match: re.Match[bytes]) -> bytes:
    """Return a `listen ${NAME}` with the port that ENV gives it, as long as it was, where that need not move."""
    name = match["name"].decode()
    value = image.facts.variables.get(name) or ""
    set_by_compose = any(name in str(one.values.get("environment")) for one in compose.services(image.project))
    if not value.isdecimal() or int(value) < 1024 or set_by_compose or len(value) > len(match["word"]):
        return match[0]
    return match["before"] + value.encode().ljust(len(match["word"]))


def follow_added(image: Image, found: Configuration, path: str, file: ImageFile, depth: int) -> Configuration:
    """Return ``found`` with the text that RUN steps print into a file; raises `Unknown`.

    A port in it cannot be edited there: it is where the image's own file of that name has it, or not understood.
    """
    try:
        reading = reading_of(found.server, file.added)
    except Unknown as error:
        raise Unknown(file.line, f"what it makes of {path}: {error.reason}") from error
    moving = [one for one in (*reading.listens, *reading.hosts) if one.port < 1024]
    if moving or reading.changes:
        own = next((one for one in found.server.shipped if one.path == path), None)
        anew = file.path is None and file.data is not None
        pattern = own.pattern.encode() if own is not None else b""
        if own is None or not anew or not pattern or file.added.count(pattern) != len(moving):
            raise Unknown(file.line, f"what it makes of {path} listens on a port")
        found = found._replace(shipped=(*found.shipped, own))
    high = tuple(one._replace(changes=()) for one in reading.listens if one.port >= 1024)
    rest = reading._replace(listens=high, hosts=(), changes=())
    found = found._replace(read=(*found.read, Read(path, file, rest)))
    return follow(image, found, reading.includes, file.line, depth + 1)


__all__ = ["Configuration", "Listen", "Read", "Unknown", "configuration"]
