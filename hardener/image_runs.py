"""How files of the repository start the image by its name: ``docker run`` of scripts and CI, Kubernetes manifests."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener.compose_links import without_tag
from hardener.lazy_pattern import lazy_pattern
from hardener.manifest_ports import manifest_ports
from hardener.repository_files import READMES, contents, files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts

RUN_LINE = lazy_pattern(r"(?:docker|podman)\s+(?:container\s+)?run\b(?:[^\n]*\\[ \t]*\r?\n)*[^\n]*")
BUILD_LINE = lazy_pattern(r"(?:docker|podman)\s+(?:buildx\s+|image\s+)?build\b(?:[^\n]*\\[ \t]*\r?\n)*[^\n]*")
# A word of a command line: quoted parts, `$(...)` and `${...}` hold together.
WORD = lazy_pattern(r"(?:\"[^\"]*\"|'[^']*'|\$\([^)]*\)|\$\{[^}]*\}|[^\s\"'|;&<>])+|[|;&<>]+")
# The options of `docker run` that take no word: https://docs.docker.com/reference/cli/docker/container/run/#options
SWITCHES = lazy_pattern(
    r"-[ditPq]+|--(?:detach|interactive|tty|rm|init|privileged|read-only|publish-all|quiet|no-healthcheck|sig-proxy"
    r"|disable-content-trust|oom-kill-disable|no-hosts|replace|rmi|systemd)"
)
PUBLISHED = lazy_pattern(r"(?:^|\s)(?:-p|--publish)[ =]?\s*[\"']?(?:[^\s\"']*:)?(\d{1,5})(?:/\w+)?[\"']?(?=\s|$)")
VARIABLE = lazy_pattern(
    r"\$\{\{[^}]*\}\}|\$\{(\w+)[^}]*\}|\$\((\w+)\)|\$(\w+)|\$\([^)]*\)|\$\{[^}]*\}|\{\{[^}]*\}\}|<[^>]*>"
)


class Run(NamedTuple):
    """One ``docker run``: file, 1-based line, its text on one line, and the image (``*`` where a variable stands)."""

    file: PurePosixPath
    line: int
    text: str
    image: str


@lru_cache(maxsize=16)
def all_runs(root: Path) -> tuple[Run, ...]:
    """Return every ``docker run`` in the repository's scripts, Makefiles, CI files and READMEs."""
    found: list[Run] = []
    for file, data in contents(root).runs:
        text = data.decode("utf-8", "replace")
        for match in RUN_LINE.finditer(text):
            line = re.sub(r"\\[ \t]*\r?\n", " ", match[0])
            name = image_word(line)
            if name is not None:
                number = text.count("\n", 0, match.start()) + 1
                found.append(Run(file, number, line, without_tag(expanded(name, text))))
    return tuple(found)


def image_word(line: str) -> str | None:
    """Return the word of a ``docker run`` that names the image, ``None`` where the line ends before it."""
    words: list[str] = WORD.findall(line.partition("run")[2])
    position = 0
    while position < len(words):
        word = words[position]
        if re.fullmatch(r"[|;&<>]+", word):
            return None
        if not word.startswith("-"):
            if not re.fullmatch(r"\$\{?\w*(?:arg|opt|flag|OPT|ARG|FLAG)\w*\}?", word):  # more options in a variable
                return word.strip("\"'")
        elif "=" not in word and not SWITCHES.fullmatch(word) and not re.fullmatch(r"-[pvewuhmcal]\S+", word):
            position += 1
        position += 1
    return None


def expanded(word: str, text: str) -> str:
    """Return a word with the variables that ``text`` sets to a literal, ``*`` for all others."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name is None:
            return "*"
        set_to = re.search(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*[:?]?=[ \t]*[\"']?([^\s\"'#]+)", text, re.MULTILINE)
        return set_to[1] if set_to is not None else "*"

    for _ in range(3):
        word = VARIABLE.sub(value, word)
    return VARIABLE.sub("*", word)


@lru_cache(maxsize=64)
def runs(project: Project) -> tuple[Run, ...]:
    """Return the ``docker run`` lines of other files that start the project's image."""
    if project.root is None:
        return ()
    return tuple(one for one in all_runs(project.root) if is_image(project, project.root, one))


def is_image(project: Project, root: Path, run: Run) -> bool:
    """Whether the image of a run is the project's: built under that name in the same file, or called like it."""
    from hardener.own_images import COMMON, is_own, named  # noqa: PLC0415  few repositories have such lines

    built = dict(builds(root, run.file))
    if run.image in built:
        return built[run.image] == project.dockerfile_path
    if "*" not in run.image:
        return project.dockerfile_path in named(root, run.image, run.file)
    namespace, _, last = run.image.rpartition("/")
    if "*" not in namespace and not is_own(root, namespace):
        return False
    if not last.strip("*"):
        return len(files(root).dockerfiles) == 1
    own = {project.context.name, *project.dockerfile_path.name.lower().split(".")} - COMMON
    ends = [last, *(last[match.end() :] for match in re.finditer(r"[-_]", last))]
    return any(fnmatchcase(name, end) for name in own for end in ends if len(end.strip("*")) > 2)


@lru_cache(maxsize=256)
def builds(root: Path, file: PurePosixPath) -> tuple[tuple[str, PurePosixPath], ...]:
    """Return image (without its tag) and Dockerfile of every ``docker build`` of one file whose Dockerfile is there."""
    text = next((data for path, data in contents(root).runs if path == file), b"").decode("utf-8", "replace")
    found: list[tuple[str, PurePosixPath]] = []
    for match in BUILD_LINE.finditer(text):
        words = [word.strip("\"'") for word in WORD.findall(re.sub(r"\\[ \t]*\r?\n", " ", match[0]))]
        words = words[: next((at for at, word in enumerate(words) if re.fullmatch(r"[|;&<>]+", word)), len(words))]
        pairs = list(zip(words, [*words[1:], ""], strict=True))
        tags = [value for option, value in pairs if option in ("-t", "--tag")]
        dockerfile = next((value for option, value in pairs if option in ("-f", "--file")), "")
        name = dockerfile or posixpath.join(words[-1], "Dockerfile")
        for folder in (file.parent, *file.parent.parents):
            place = PurePosixPath(posixpath.normpath(folder / name))
            if folder != file.parent and posixpath.normpath(name) == "Dockerfile" and re.search(r"\bcd\s", text):
                break  # where it is run is not known
            if place in files(root).dockerfiles:
                found += [(without_tag(expanded(tag, text)), place) for tag in tags]
                break
    return tuple(found)


def stated_ports(project: Project, facts: StageFacts) -> Iterator[tuple[int, str]]:
    """Yield the ports below 1024 that runs and manifests of the last stage's image state, with ``path:line``."""
    if project.root is None or facts.stage.index != len(project.dockerfile.stages) - 1:
        return
    for run in runs(project):
        for match in PUBLISHED.finditer(run.text):
            if 0 < int(match[1]) < 1024:
                yield int(match[1]), f"{run.file}:{run.line}"
    stated = manifest_ports(project.root)
    if stated:
        from hardener.own_images import named  # noqa: PLC0415
    for one in stated:
        if project.dockerfile_path in named(project.root, one.image, one.file):
            yield one.port, f"{one.file}:{one.line}"


def all_reached(project: Project, facts: StageFacts, port: int) -> Iterator[str]:
    """Yield ``path:line`` of each run or manifest that states a port of the image, which would have to move with it.

    What a README advises does not keep a port where it is, as little as for those who read it elsewhere.
    """
    stated = (where for number, where in stated_ports(project, facts) if number == port)
    yield from (where for where in stated if not is_prose(PurePosixPath(where.partition(":")[0])))
    if project.root is None or facts.stage.index != len(project.dockerfile.stages) - 1:
        return
    from hardener import compose, compose_ports  # noqa: PLC0415  they ask this module's users
    from hardener.own_images import may_be  # noqa: PLC0415

    for one in manifest_ports(project.root):
        if one.port == port and may_be(project.root, one.image, one.file, project.dockerfile_path):
            yield f"{one.file}:{one.line}"
    for service in compose.all_services(project):
        name = without_tag(str(service.values.get("image") or ""))
        if service.values.get("build") or port not in compose_ports.stated(service):
            continue
        if may_be(project.root, name, service.file, project.dockerfile_path):
            yield f"{service.file}:{service.line}"


def is_prose(file: PurePosixPath) -> bool:
    """Whether a file is a README or a page of documentation."""
    return file.name in READMES or file.suffix in (".md", ".mdx", ".rst")
