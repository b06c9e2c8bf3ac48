"""The port in the settings of Spring Boot, Micronaut and Quarkus applications: properties and YAML.

Properties are read by their own line format (java.util.Properties), YAML by PyYAML's marks; nothing is printed.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener import context, shell
from hardener.copied_sources import context_folder, contributing
from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.source_reading import Literal, Reading, place
from hardener.yaml_documents import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts

# Key of the listening port -> the environment variable that goes before it.
# https://docs.spring.io/spring-boot/appendix/application-properties/index.html#application-properties.server.server.port
# https://docs.micronaut.io/latest/guide/configurationreference.html  https://quarkus.io/guides/all-config
KEYS = {
    "server.port": "SERVER_PORT",
    "micronaut.server.port": "MICRONAUT_SERVER_PORT",
    "quarkus.http.port": "QUARKUS_HTTP_PORT",
}
FILE_NAME = lazy_pattern(r"^(?:application|bootstrap)(?:-[\w.-]+)?\.(?:properties|ya?ml)$")
PROPERTY = lazy_pattern(
    rb"^[ \t]*(?:%[\w-]+\.)?("
    + b"|".join(re.escape(key.encode()) for key in KEYS)
    + rb")[ \t]*[=: \t][ \t]*(.*?)[ \t\r]*$",
    re.MULTILINE,
)
# A number, or the default of `${NAME:80}`, also of `${A:${B:80}}`.
VALUE = lazy_pattern(r"(?:\$\{([\w.]+):)?(?:\$\{([\w.]+):)?(\d{1,5})\}{0,2}")
# Settings from a server or another file go before the application's own.
ELSEWHERE = lazy_pattern(rb"spring\.config\.import|spring[.:\s]+(?:cloud[.:\s]+config|config[.:\s]+import)")
BUILD_TOOLS = frozenset(("mvn", "mvnw", "./mvnw", "gradle", "gradlew", "./gradlew"))
RESOURCES = ("src/main/resources", "src/main/resources/config", "config", ".")


def reading(project: Project, facts: StageFacts, *, stated: bool) -> Reading:
    """Return what the settings of the JVM application that a stage starts say of its port."""
    found = Reading()
    for path in settings_files(project, facts):
        data = project.read(path) or b""
        if b"port" not in data:
            continue  # neither a port nor an import
        uses = yaml_ports(data) if path.suffix in (".yml", ".yaml") else property_ports(data)
        for key, text, offset in uses:
            match = VALUE.fullmatch(text)
            if match is None:
                found.unclear[place(path, data, offset)] = None
                continue
            found.variables |= {KEYS[key], *(name for name in (match[1], match[2]) if name)}
            start = offset + match.start(3)
            found.literals[Literal(int(match[3]), path, Span(start, start + len(match[3])))] = None
        if stated and ELSEWHERE.search(data):
            found.blocking[f"{path}:1"] = None
    return found


def property_ports(data: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield key, value and its offset for each port of a properties file."""
    for match in PROPERTY.finditer(data):
        yield match[1].decode(), match[2].decode("latin-1"), match.start(2)


def yaml_ports(data: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield key, value and its byte offset for each port of a YAML file, in all its documents."""
    nodes = readable(data)
    text = data.decode("utf-8") if nodes else ""
    for document in nodes:
        for key, node in flattened(document, "", set()):
            if key in KEYS:
                raw = text[node.start_mark.index : node.end_mark.index]
                inner = raw.find(node.value)
                yield (
                    key,
                    node.value if inner >= 0 else raw,
                    len(text[: node.start_mark.index + max(inner, 0)].encode()),
                )


def flattened(node: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the scalars of a YAML mapping under their dotted keys; each mapping once, whatever aliases it has."""
    if node is None or node.id != "mapping" or id(node) in seen or prefix.count(".") > 8:
        return
    seen.add(id(node))
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if value.id == "scalar":
            yield name, value
        else:
            yield from flattened(value, f"{name}.", seen)


def settings_files(project: Project, facts: StageFacts) -> tuple[PurePosixPath, ...]:
    """Return the settings files of the application that an image starts; none where the module is not certain."""
    folders = dict.fromkeys(modules(project, facts))
    with_settings = {folder: files for folder in folders if (files := settings_in(project, folder))}
    if not with_settings:
        below = [child for folder in folders for child in children(project, folder)]
        with_settings = {folder: files for folder in below if (files := settings_in(project, folder))}
    return next(iter(with_settings.values())) if len(with_settings) == 1 else ()


def settings_in(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the settings files of one module."""
    from hardener.project import entries  # noqa: PLC0415

    if project.root is None:
        return ()
    return tuple(
        PurePosixPath(posixpath.normpath(folder / below / name))
        for below in RESOURCES
        for name in sorted(entries(str(project.root / folder / below)))
        if FILE_NAME.match(name)
    )


def children(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the folders of one folder."""
    from hardener.project import entries  # noqa: PLC0415

    if project.root is None:
        return ()
    root = project.root / folder
    return tuple(folder / name for name in sorted(entries(str(root))) if (root / name).is_dir())


def modules(project: Project, facts: StageFacts) -> Iterator[PurePosixPath]:
    """Yield the folders of the modules that the image's archive may be built from."""
    base = context.build_context(project)
    for stage in contributing(project, facts):
        for step, command in stage.run_commands:
            if shell.program(command.name) in BUILD_TOOLS:
                folder = context_folder(project, stage, command.directory or step.workdir or "/")
                words = [argument.text or "" for argument in command.arguments]
                if folder is not None:
                    yield folder / submodule(words)
        for step in stage.steps:
            if step.instruction.keyword not in ("COPY", "ADD") or context.flag(step.instruction, "from") is not None:
                continue
            for source in context.copy_arguments(step.instruction)[0]:
                match = re.match(r"[\"']?(?:\./)?((?:[\w.-]+/)*?)(?:target|build/libs|build/\w+-app)(?:/|$)", source)
                if match is not None:
                    yield PurePosixPath(posixpath.normpath(base / match[1]))


def submodule(words: list[str]) -> str:
    """Return the folder of the module that a Maven or Gradle command builds, ``.`` for the one it runs in."""
    for position, word in enumerate(words[:-1]):
        if word in ("-pl", "--projects", "-p", "--project-dir"):
            return words[position + 1].lstrip(":")
    for word in words:
        match = re.fullmatch(r":?((?:[\w-]+:)+)\w+", word)
        if match is not None and not word.startswith("-"):
            return match[1].rstrip(":").replace(":", "/")
    return "."
