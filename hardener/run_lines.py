"""`docker run -p 8000:80` lines in scripts, Makefiles, CI and READMEs: the container's side of the published port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener import compose_callers, image, image_runs, repository_files
from hardener.compose_links import without_tag
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.port_use import Use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from hardener.project import Project

RUN = lazy_pattern(rb"\b(?:docker|podman|nerdctl)\s+(?:container\s+)?(?:run|create)\b(?:[^\n]*\\\s*\n)*[^\n]*")
# A patch that a page shows: what it takes away is history, and what it adds is there already.
PATCH = lazy_pattern(rb"^[ >]*(`{3,}|~{3,})[ \t]*(?:diff|patch)\b.*?^[ >]*\1", re.MULTILINE | re.DOTALL)
NETWORK = lazy_pattern(r"\s--net(?:work)?[= ](?!host\b|none\b|bridge\b)\S")
HOST = lazy_pattern(r"\s(?:--name|--network-alias|--hostname|-h)[= ][\"']?([\w.-]+)")
FIXED = lazy_pattern(r"\s--ip6?[= ]\S")


def uses(project: Project, old: int, new: int) -> Iterator[Use]:
    """Yield every `docker run` line that publishes the port of this image, with the edit of the container's side."""
    if project.root is None:
        return
    side = rb"(?:[\w.\[\]:]+:)?(?:\d+|\$\{?\w+\}?|\$\(\w+\))"  # the host's: it stays
    published = re.compile(rb"(?:\s-p|\s--publish)[ =]?[\"']?" + side + rb":(?P<port>%d)(?=[\s\"'/\\]|$)" % old)
    for path, _ in repository_files.contents(project.root).runs:
        data = project.read(path) or b""
        patches = [one.span() for one in PATCH.finditer(data)] if image_runs.is_prose(path) else []
        for command in RUN.finditer(data):
            if any(first <= command.start() < end for first, end in patches):
                continue
            for match in published.finditer(command[0]):
                start = command.start() + match.start("port")
                if is_own(project, path, command[0], data):
                    edit = Edit(path, start, start + len(str(old)), str(new).encode())
                    yield Use(path, data.count(b"\n", 0, start) + 1, edit)


def network_calls(project: Project, port: int) -> Iterator[Use]:
    """Yield what reaches the port of a container that `docker run` puts into a network of the user's own.

    That is every call by its name there, and the `docker run` itself where it gives a fixed address: what calls that
    may be anywhere.  https://docs.docker.com/reference/cli/docker/container/run/#network
    """
    hosts: set[str] = set()
    for run in image_runs.runs(project):
        if image_runs.is_prose(run.file) or not NETWORK.search(run.text):
            continue
        hosts |= {match[1] for match in HOST.finditer(run.text)}
        if FIXED.search(run.text) and port not in {int(one[1]) for one in image_runs.PUBLISHED.finditer(run.text)}:
            yield Use(run.file, run.line, None)
    if hosts:
        yield from compose_callers.calls_of(project, sorted(hosts), port)


def is_own(project: Project, path: PurePosixPath, command: bytes, data: bytes) -> bool:
    """Whether a `docker run` starts the project's image: by its name, or by any local one where only one is built."""
    assert project.root is not None
    line = re.sub(r"\\[ \t]*\r?\n", " ", command.decode("utf-8", "replace"))
    word = image_runs.image_word(line)
    if word is None:
        return False
    name = without_tag(image_runs.expanded(word, data.decode("utf-8", "replace")))
    if image_runs.is_image(project, project.root, image_runs.Run(path, 0, line, name)):
        return True
    single = len(repository_files.files(project.root).dockerfiles) == 1
    return single and re.fullmatch(r"[a-z][\w.-]*", name) is not None and image.lookup(name) is None
