"""The CI files of a repository, and the steps in them that scan an image or run `harden --check`."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener.compose import entry, pairs
from hardener.repository_files import walk
from hardener.small_files import content
from hardener.yaml_documents import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the CI services look: GitHub, GitLab, CircleCI, Azure, Bitbucket, Jenkins, Drone, Woodpecker, Travis, Google,
# AWS, Buildkite, Tekton, Semaphore, Cirrus; and the scripts that lie beside.
CI_FILE = re.compile(
    r"^\.(?:github|gitlab|circleci|azure-pipelines|azuredevops|woodpecker|buildkite|tekton|semaphore|ci)/"
    r".*\.(?:ya?ml|sh|bash)$"
    r"|^\.ci/run$|^ci/.*\.(?:ya?ml|sh|bash)$"
    r"|^(?:.*/)?\.?gitlab-ci[\w.-]*\.ya?ml$|^(?:.*/)?azure-pipelines[\w.-]*\.ya?ml$|^bitbucket-pipelines\.ya?ml$"
    r"|^(?:.*/)?Jenkinsfile[\w.-]*$|^\.(?:drone|woodpecker|travis|cirrus)\.ya?ml$"
    r"|^(?:cloudbuild|buildspec)[\w.-]*\.ya?ml$"
)
NOT_RUN = re.compile(r"^\.github/(?:ISSUE_TEMPLATE|DISCUSSION_TEMPLATE)/|^\.github/dependabot\.ya?ml$")
HARDEN = re.compile(r"(?<![\w.-])harden[ \t]+(?:[^\n;&|#]*[ \t])?--check\b")
CHECK = "harden --check"
COMMAND_LINE = re.compile(r"(?:[^\n]*\\\r?\n)*[^\n]+")


class Step(NamedTuple):
    """One step of CI: the file, its 1-based line, and what it runs (a scanner's name, or `CHECK`)."""

    file: PurePosixPath
    line: int
    name: str


@lru_cache(maxsize=1)
def scanners() -> tuple[dict[str, Any], ...]:
    """Return the tables of ``scanners.toml``, their regular expressions compiled."""
    tables = tomli.loads(Path(__file__).with_name("scanners.toml").read_text(encoding="utf-8"))["scanner"]
    compiled = ({key: re.compile(one[key]) for key in ("command", "include") if key in one} for one in tables)
    return tuple({**one, **patterns} for one, patterns in zip(tables, compiled, strict=True))


@lru_cache(maxsize=16)
def pipelines(root: Path) -> tuple[PurePosixPath, ...]:
    """Return the files, relative to ``root``, that tell a CI service what to run."""
    names = (here + name for here, files in walk(root) for name in files)
    return tuple(PurePosixPath(name) for name in names if CI_FILE.search(name) and not NOT_RUN.search(name))


@lru_cache(maxsize=16)
def steps(root: Path) -> tuple[Step, ...]:
    """Return every step of the repository's CI that scans an image or runs `harden --check`, in the files' order."""
    found = [one for file in pipelines(root) for one in steps_of(file, content(root / file))]
    return tuple(dict.fromkeys(found))


def scans(root: Path) -> tuple[Step, ...]:
    """Return the steps that scan an image."""
    return tuple(one for one in steps(root) if one.name != CHECK)


def checks(root: Path) -> tuple[Step, ...]:
    """Return the steps that run `harden --check`."""
    return tuple(one for one in steps(root) if one.name == CHECK)


def steps_of(file: PurePosixPath, data: bytes) -> Iterator[Step]:
    """Yield the steps of one file: by its YAML nodes, or line by line where it is none (Jenkinsfile, scripts)."""
    text = data.decode("utf-8", "replace")
    nodes = parsed(text) if file.suffix in (".yml", ".yaml") else ()
    if nodes:
        for node in nodes:
            yield from steps_in(file, text, node)
    else:
        yield from commands_in(file, text, 0)


def parsed(text: str) -> tuple[Any, ...]:
    """Return the documents of a YAML file as nodes; none where it is no YAML, or could be a bomb."""
    return tuple(node for node in readable(text.encode("utf-8", "surrogateescape")) if node is not None)


def steps_in(file: PurePosixPath, text: str, node: Any, seen: frozenset[int] = frozenset()) -> Iterator[Step]:
    """Yield the steps at and below one node; what is switched off (``if: false``) is none."""
    if id(node) in seen:  # an anchor that holds itself
        return
    inner = seen | {id(node)}
    if node.id == "mapping":
        switch = entry(node, "if")
        if switch is not None and str(switch.value).strip("${} ").lower() == "false":
            return
        uses = entry(node, "uses")
        if uses is not None and uses.id == "scalar":
            yield from used(file, uses, entry(node, "with"))
        for key, value in node.value:
            if key.value != "name":  # a title runs nothing
                yield from steps_in(file, text, value, inner)
    elif node.id == "sequence":
        for one in node.value:
            yield from steps_in(file, text, one, inner)
    else:
        start = node.start_mark
        # In a block scalar, "|" is on the line of the mark and the text begins below it.
        yield from commands_in(file, str(node.value), start.line + (node.style in ("|", ">")))
        for one in scanners():
            if "include" in one and one["include"].search(str(node.value)):
                yield Step(file, start.line + 1, one["name"])


def used(file: PurePosixPath, uses: Any, given: Any) -> Iterator[Step]:
    """Yield the step of an action that scans an image."""
    action = str(uses.value).partition("@")[0].lower()
    inputs = {key: str(value.value) for key, value in pairs(given) if value.id == "scalar"}
    for one in scanners():
        of_another_kind = any(inputs.get(name) in values for name, values in one.get("unless", {}).items())
        lacks = "needs" in one and one["needs"] not in inputs
        if action in one.get("uses", ()) and not of_another_kind and not lacks:
            yield Step(file, uses.start_mark.line + 1, one["name"])


def commands_in(file: PurePosixPath, text: str, before: int) -> Iterator[Step]:
    """Yield the steps that are command lines; ``before`` is the number of lines of the file above the text."""
    for match in COMMAND_LINE.finditer(text):
        line = re.sub(r"\\\r?\n", " ", match[0])
        if line.lstrip().startswith(("#", "//")):
            continue
        number = before + text.count("\n", 0, match.start()) + 1
        if HARDEN.search(line):
            yield Step(file, number, CHECK)
        for one in scanners():
            if "command" in one and one["command"].search(line):
                yield Step(file, number, one["name"])
