"""What the server of an official image is configured to do, put together: its files, what its start renders, mounts."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from hardener import compose, context, privileges, server_changes, shell
from hardener.command_paths import WRITING, resolved
from hardener.paths import below
from hardener.server_configured import Configuration, Image
from hardener.server_files import Files, ImageFile, Scope, image_files
from hardener.server_following import follow, reading_of
from hardener.server_mounts import overlays
from hardener.server_reading import Reading, Unknown
from hardener.server_start import option_words, runs_hooks, start_commands
from hardener.servers import is_server_program
from hardener.shell_words import encode
from hardener.stages import START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.servers import Server
    from hardener.shell import Command
    from hardener.stages import StageFacts

# Commands that give an account other ids.
RENUMBERING = frozenset(("usermod", "groupmod", "deluser", "delgroup", "userdel", "groupdel"))
# Build files of buildx, whose `contexts` may replace a base image by another target.
BAKE = ("docker-bake.hcl", "docker-bake.json", "docker-bake.override.hcl", "docker-bake.override.json")


def configured(project: Project, facts: StageFacts, server: Server) -> Configuration | Unknown:
    """Return what the server that a stage runs is configured to do, or the reason why that is not known."""
    if server.main not in ("", *(server.unread or ()), *(one.path for one in server.shipped)):
        return Unknown(1, "its main file is not known")
    stage = project.dockerfile.stages[facts.chain[0]]
    bake = next(
        (folder / name for folder in project.context.parents for name in BAKE if project.exists(folder / name)), None
    )
    if bake is not None and encode(f'"{stage.base}"') in (project.read(bake) or b""):
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
        if step.instruction.keyword not in START:
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
            given = reading_of(server, encode(following.rstrip("; \t\n")) + b";")
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
