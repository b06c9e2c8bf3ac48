"""Which files some folders of the image hold in the end: the base image's own, replaced and changed step by step."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from hardener import context, server_changes, shell, written_files
from hardener.command_paths import WRITING, resolved
from hardener.context import copy_arguments, destination, flag, is_remote
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.server_reading import Unknown
from hardener.shell_words import encode
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

# They change no content: owners and modes, what is printed, the server's own check.
HARMLESS = frozenset(
    (
        *("chown", "chmod", "chgrp", "ls", "cat", "stat", "test", "[", "grep", "mkdir", "echo", "printf", "cd"),
        "touch",
    )
)
MAXIMUM_FILES = 400
# Variables of base images that name such a folder: docker-library/php, docker-library/httpd.
BASE_VARIABLE = lazy_pattern(r"\$\{?(?:APACHE_CONFDIR|APACHE_ENVVARS|HTTPD_PREFIX)\b")


class ImageFile(NamedTuple):
    """One file of the image.

    ``data`` is its content, which stands in the project's file ``path`` from ``offset`` on.  Without ``data`` it is
    the base image's own (``unknown`` empty), or nothing is known of it for the reason ``unknown``.  ``line`` is that
    of the Dockerfile's step that brought it.
    """

    line: int
    path: PurePosixPath | None = None
    offset: int = 0
    data: bytes | None = None
    unknown: str = ""
    owner: str | None = None
    """The value of ``--chown``."""
    added: bytes = b""
    """What RUN steps append to it."""
    inline: bool = False
    """Whether it stands in one word of a RUN, where no line end, quote or dollar sign may come in."""
    appended: tuple[ImageFile, ...] = ()
    """What RUN steps append to it in so many words, each with its place in the Dockerfile."""


Files = dict[str, ImageFile]


class Scope(NamedTuple):
    """Where to look: the folders, the base image's own files in them, and its WORKDIR.

    ``harmless`` are programs that only read there; a ``sed`` that speaks of nothing ``sensitive`` changes nothing;
    ``texts`` is what matters in the base image's own files; ``unread`` are files that may be there, and what to say
    of them.
    """

    folders: tuple[str, ...]
    shipped: tuple[str, ...]
    harmless: tuple[str, ...]
    workdir: str = ""
    sensitive: str = ""
    texts: Mapping[str, str] = MappingProxyType({})
    unread: Mapping[str, str] = MappingProxyType({})
    plain_edits: bool = False

    def rebased(self, path: str, written: str, step: Step) -> str:
        """Return a path that was resolved from ``/`` as one in the base image's own WORKDIR, where that counts."""
        if not self.workdir or step.workdir != "/" or written.startswith(("/", "$")):
            return path
        return absolute(written, self.workdir)


def image_files(project: Project, facts: StageFacts, scope: Scope) -> Files:
    """Return the files below the folders of ``scope`` by their path in the image.

    What a step does that is not understood makes the files that it names unknown; raises `Unknown` where it may be
    any of them.
    """
    first = facts.stage.instructions[0].line
    files = {path: ImageFile(first) for path in scope.shipped}
    files |= {path: ImageFile(first, unknown=reason) for path, reason in scope.unread.items()}
    for step in facts.steps:
        keyword = step.instruction.keyword
        if keyword in ("COPY", "ADD"):
            files |= copied(project, step, scope, files)
        elif keyword == "RUN":
            run(project, facts, step, scope, files)
    return files


def copied(project: Project, step: Step, scope: Scope, files: Files) -> Files:
    """Return what a COPY or ADD brings below the folders.  Raises `Unknown` where that is not certain."""
    instruction = step.instruction
    line, owner = instruction.line, flag(instruction, "chown")
    target, folders = destination(step), scope.folders
    sources, written = copy_arguments(instruction)
    if target is not None:
        target = scope.rebased(target, written.strip("\"'"), step)
    if target is None:
        raise Unknown(line, f"{instruction.keyword} copies to a variable")
    if not below(target, folders) and not any(below(folder, (target,)) for folder in folders):
        return {}
    into = written.strip("\"'").endswith(("/", "/.")) or len(sources) > 1 or is_directory(target, scope, files)
    found: Files = {}
    origin = flag(instruction, "from")
    for document in instruction.heredocs:
        path = absolute(document.name, target) if into else target
        body = project.dockerfile.data[document.body.start : document.body.stop]
        plain = not document.expand or b"$" not in body
        unknown = "" if plain else "is a heredoc whose text the builder changes"
        found[path] = ImageFile(line, project.dockerfile_path, document.body.start, body, unknown, owner)
    if instruction.heredocs:
        return {path: one for path, one in found.items() if below(path, folders)}
    for source in (one.strip("\"'") for one in sources):
        if is_remote(source) or (instruction.keyword == "ADD" and source.endswith((".tar", "gz", "xz", "bz2", ".zip"))):
            found |= unknown_below(target, source, into, ImageFile(line, unknown="is fetched or unpacked", owner=owner))
        elif origin is not None:
            found |= from_stage(project, step, origin, (source, target, into), folders)
        else:
            found |= from_context(project, step, (source, target, into), folders)
    return {path: one for path, one in found.items() if below(path, folders)}


def is_directory(path: str, scope: Scope, files: Files) -> bool:
    """Whether a path of the image is known to be a directory; the base image's own stay, whatever is removed."""
    return any(one.startswith(path.rstrip("/") + "/") for one in (*files, *scope.shipped))


def unknown_below(target: str, source: str, into: bool, file: ImageFile) -> Files:
    """Return one file of which nothing is known, at the place where a source goes."""
    return {posixpath.join(target, posixpath.basename(source)) if into else target: file}


def from_stage(
    project: Project, step: Step, origin: str, words: tuple[str, str, bool], folders: tuple[str, ...]
) -> Files:
    """Return what a ``COPY --from`` brings: files of the context that the other stage copied, else unknown ones."""
    source, target, into = words
    line, owner = step.instruction.line, flag(step.instruction, "chown")
    stages = project.dockerfile.stages
    index = next((one.index for one in stages if origin.lower() == one.name or origin == str(one.index)), None)
    path = absolute(source, "/")
    is_file = posixpath.splitext(source)[1] != "" and not source.endswith("/")
    if not is_file or index is None:
        if any(below(folder, (target,)) for folder in folders) or not posixpath.splitext(target)[1]:
            raise Unknown(line, f"what COPY --from={origin} brings below {target} is not known")
        return {target: ImageFile(line, unknown=f"comes out of {origin}", owner=owner)}
    other = stage_facts(project.dockerfile, index)
    name = posixpath.join(target, posixpath.basename(source)) if into else target
    found = context.origin(project, other, path)
    last = encode(posixpath.basename(source))
    changed = any(
        last in project.dockerfile.data[one.instruction.span.start : one.instruction.span.stop]
        for one in other.steps
        if one.instruction.keyword == "RUN"
    )
    if found is None or found.path is None or changed:
        return {name: ImageFile(line, unknown=f"comes out of the stage {origin}", owner=owner)}
    return {name: ImageFile(line, found.path, 0, found.data, owner=owner)}


def from_context(project: Project, step: Step, words: tuple[str, str, bool], folders: tuple[str, ...]) -> Files:
    """Return the files that one source of the build context becomes."""
    source, target, into = words
    line, owner = step.instruction.line, flag(step.instruction, "chown")
    start = context.build_context(project)
    if "$" in source or project.root is None:
        name = posixpath.join(target, posixpath.basename(source)) if into else target
        if project.root is not None or posixpath.splitext(name)[1] == "":
            raise Unknown(line, f"what {step.instruction.keyword} {source} brings is not known")
        return {name: ImageFile(line, unknown="is not here to be read", owner=owner)}
    base = posixpath.normpath(source.lstrip("/") or ".")
    found: Files = {}
    if any(mark in base for mark in "*?["):
        folder = posixpath.dirname(base)
        if any(mark in folder for mark in "*?["):
            raise Unknown(line, f"what {step.instruction.keyword} {source} brings is not known")
        names = children(project, start / folder)
        matches = [posixpath.join(folder, one) for one in names if fnmatchcase(one, posixpath.basename(base))]
        into = True
    else:
        matches = [base]
    for match in matches:
        data = project.read(start / match)
        if data is not None:
            path = posixpath.join(target, posixpath.basename(match)) if into else target
            found[path] = ImageFile(line, start / match, 0, data, owner=owner)
            continue
        if not project.exists(start / match):
            raise Unknown(line, f"{match} is not in the build context here")
        for relative in below_folder(project, start / match, target, folders):
            data = project.read(start / match / relative)
            unknown = "" if data is not None else "cannot be read"
            path = posixpath.join(target, relative)
            found[path] = ImageFile(line, start / match / relative, 0, data, unknown, owner)
            if len(found) > MAXIMUM_FILES:
                raise Unknown(line, f"{match} holds too many files")
    return found


def children(project: Project, folder: PurePosixPath) -> list[str]:
    """Return the names in a folder of the project."""
    from hardener.project import entries  # noqa: PLC0415  it imports the parser

    return sorted(entries(str(project.root / folder))) if project.root is not None else []


def below_folder(
    project: Project, folder: PurePosixPath, target: str, folders: tuple[str, ...], inner: str = ""
) -> Iterator[str]:
    """Yield the files below a folder of the project, as relative paths, that land below one of ``folders``."""
    assert project.root is not None
    for name in children(project, folder / inner):
        relative = posixpath.join(inner, name)
        path = posixpath.join(target, relative)
        place = project.root / folder / relative
        if place.is_dir():
            if below(path, folders) or any(below(one, (path,)) for one in folders):
                yield from below_folder(project, folder, target, folders, relative)
        elif below(path, folders):
            yield relative


def run(project: Project, facts: StageFacts, step: Step, scope: Scope, files: Files) -> None:
    """Do to ``files`` what a RUN does."""
    folders = scope.folders
    line = step.instruction.line
    begin, stop = step.instruction.span
    text = project.dockerfile.data[begin:stop]
    commands = step.commands
    if commands is None:
        if any(encode(folder) in text for folder in folders):
            raise Unknown(line, "a RUN that cannot be read changes the configuration")
        return
    for command in commands:
        if server_changes.keeps(command, scope.sensitive, plain=scope.plain_edits):
            continue
        paths = list(touched(command, scope, step))
        if not paths or (command.name and shell.program(command.name) in scope.harmless and not writes(command)):
            continue
        name = shell.program(command.name)
        if name == "rm":
            for path in paths:
                for one in matching(files, path):
                    del files[one]
        elif name in ("mv", "cp", "ln") and moved(project, facts, command, (scope, files), line):
            continue
        elif len(paths) == 1 and (piece := written_files.piece(step, command)) is not None:
            written = ImageFile(line, project.dockerfile_path, piece.start, piece.text, inline=piece.is_word)
            append(files, scope, paths[0], written, anew=piece.operator == ">")
        elif scope.sensitive and name == "sed" and (changes := server_changes.substitutions(command)) is not None:
            substitute(files, scope, paths, line, changes)
        elif scope.sensitive and len(paths) == 1 and (text_added := server_changes.printed(command)) is not None:
            print_into(files, scope, paths[0], line, text_added)
        elif not foreground(command) and not (name in HARMLESS and not writes(command)):
            for path in paths:
                names = matching(files, path) or [path]
                for one in names:
                    files[one] = ImageFile(line, unknown=f"is changed by line {line}")


def append(files: Files, scope: Scope, path: str, written: ImageFile, *, anew: bool) -> None:
    """Put a text that a RUN writes into ``files``: as a file of its own, or at the end of one that is there."""
    if not anew:
        expect_package(files, scope, path, written.line)
    if anew or path not in files:
        files[path] = written
    else:
        files[path] = files[path]._replace(appended=(*files[path].appended, written))


def expect_package(files: Files, scope: Scope, path: str, line: int) -> None:
    """Note that a file which nobody knows, and which is added to, may be there already."""
    if path not in files and scope.unread:
        files[path] = ImageFile(line, unknown="may be one of the distribution's package")


def substitute(
    files: Files, scope: Scope, paths: list[str], line: int, changes: tuple[server_changes.Substitution, ...]
) -> None:
    """Do to ``files`` what a ``sed -i`` does, where what matters in the image's file is known; else it is unknown."""
    for path in paths:
        for one in matching(files, path) or [path]:
            file = files.get(one)
            text = encode(scope.texts.get(one, "")) if file is not None and file.data is None else b""
            if file is not None and file.path is None and file.data is not None:
                text = file.data
            if file is None or file.unknown or file.path is not None or not text:
                files[one] = ImageFile(line, unknown=f"is changed by line {line}")
            else:
                text += file.added + b"".join(one.data + b"\n" for one in file.appended if one.data is not None)
                files[one] = ImageFile(line, data=b"", added=server_changes.substituted(text, changes))


def print_into(files: Files, scope: Scope, path: str, line: int, text_added: tuple[str, bytes]) -> None:
    """Do to ``files`` what an ``echo`` into one of them does."""
    operator, text = text_added
    if operator == ">>":
        expect_package(files, scope, path, line)
    file = files.get(path)
    if operator == ">" or file is None:
        files[path] = ImageFile(line, data=b"", added=text)
    else:
        files[path] = file._replace(added=file.added + text)


def touched(command: Command, scope: Scope, step: Step) -> Iterator[str]:
    """Yield the paths below (or around) the folders that a command names; raise `Unknown` for a variable one."""
    folders = scope.folders
    words = [*command.arguments, *(target for operator, target in command.redirects if operator in WRITING)]
    for word in words:
        path = resolved(word, command)
        if path is not None and command.directory == "/":
            path = scope.rebased(path, word.shown, step)
        if path is None:
            if any(folder in word.raw for folder in folders) or BASE_VARIABLE.search(word.raw):
                yield from folders
            continue
        if word.shown.startswith("-"):
            continue
        if below(path, folders) or ("/" in word.shown and any(below(folder, (path,)) for folder in folders)):
            yield path


def writes(command: Command) -> bool:
    """Whether a redirection of a command writes a file."""
    return any(operator in WRITING and target.text != "/dev/null" for operator, target in command.redirects)


def matching(files: Files, path: str) -> list[str]:
    """Return the files that a path, a glob or a folder means."""
    return [one for one in files if below(one, (path,)) or fnmatchcase(one, path)]


def foreground(command: Command) -> bool:
    """Whether a command only appends `daemon off;` to a file."""
    words = " ".join(one.text or "" for one in command.arguments).replace("\\n", " ")
    appends = [operator for operator, _ in command.redirects] == [">>"]
    return command.name in ("echo", "printf") and appends and words.strip(" -e\n") in ("daemon off;", "daemon off")


def moved(project: Project, facts: StageFacts, command: Command, there: tuple[Scope, Files], line: int) -> bool:
    """Do to ``files`` what a plain mv, cp or ln does; ``False`` where it is not plain."""
    scope, files = there
    words = [one for one in command.arguments if not (one.text or "").startswith("-")]
    if len(words) != 2 or any(one.text is None for one in words):
        return False
    source, target = (absolute(one.text or "", command.directory or "/") for one in words)
    if scope.workdir and command.directory == "/":
        return False
    if is_directory(target, scope, files) or (words[1].text or "").endswith("/"):
        target = posixpath.join(target, posixpath.basename(source))
    file = files.get(source)
    if file is None:
        found = context.origin(project, facts, source)
        if found is None or found.path is None:
            return False
        file = ImageFile(line, found.path, 0, found.data)
    if shell.program(command.name) == "mv":
        files.pop(source, None)
    files[target] = file
    return True
