"""Build tools that keep what they install below /root, and the variables that move them (``root_tools.toml``)."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener import processes, shell
from hardener.context import build_context, origin
from hardener.inherited import Handed
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.processes import SCRIPT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.context import Origin
    from hardener.project import Project
    from hardener.stages import StageFacts, Step

PYTHON_BASE = lazy_pattern(r"(?:^|/)python:(\d+\.\d+)|(?:^|/)python$|/uv:(?:[\d.]+-)?python(\d+\.\d+)")


MINOR_VERSION = lazy_pattern(r"^(python3|pip3)\.\d+$")
# These words after a program have it print, and write nothing.
PRINTS = frozenset(("version", "--version", "-version", "-v", "-V", "env", "help", "--help"))


class Use(NamedTuple):
    """A RUN step that leaves something below /root: the step, and the table of ``root_tools.toml`` that says so."""

    step: Step
    tool: Mapping[str, Any]


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``root_tools.toml``."""
    return tomli.loads(Path(__file__).with_name("root_tools.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def heads() -> dict[str, list[tuple[list[str], dict[str, Any]]]]:
    """Return the tools that are commands: first word to the words that a command begins with, and the table."""
    found: dict[str, list[tuple[list[str], dict[str, Any]]]] = {}
    for tool in knowledge()["tool"]:
        for pattern in tool["commands"].split("|") if "commands" in tool else ():
            words = pattern.split(" ")
            found.setdefault(words[0], []).append((words, tool))
    return found


@lru_cache(maxsize=1)
def texts() -> tuple[tuple[re.Pattern[str], dict[str, Any]], ...]:
    """Return the tools that are told by the text of a step."""
    return tuple(
        (re.compile(tool.get("text") or "|".join(map(re.escape, tool["addresses"]))), tool)
        for tool in knowledge()["tool"]
        if "text" in tool or "addresses" in tool
    )


def uses(project: Project, facts: StageFacts) -> Iterator[Use]:
    """Yield every use of a tool in a stage's chain whose files lie below /root, in order."""
    for step in facts.steps:
        for tool in tools_of(step):
            if is_started(project, facts, tool) and not is_elsewhere(project, facts, Use(step, tool)):
                yield Use(step, tool)


def is_started(project: Project, facts: StageFacts, tool: Mapping[str, Any]) -> bool:
    """Whether a stage starts the program that needs what a tool left, where the tool's table names one."""
    return "started_as" not in tool or re.search(rf"\b{tool['started_as']}\b", start_text(project, facts)) is not None


def handed_down(project: Project, facts: StageFacts) -> tuple[Handed, ...]:
    """Return the tools whose files below /root matter to an image built FROM the stage, if it starts their program."""
    inherited = facts.image.inherited if facts.image is not None else None
    own = (
        Handed(tool["started_as"], tuple(tool.get("unless", ())), tool["reason"], tool["way_out"])
        for step in facts.steps
        for tool in tools_of(step)
        if "started_as" in tool and not is_elsewhere(project, facts, Use(step, tool))
    )
    return tuple(dict.fromkeys((*(inherited.tools if inherited is not None else ()), *own)))


def inherited_uses(project: Project, facts: StageFacts) -> Iterator[tuple[str, Handed]]:
    """Yield where a base image is built, and a tool that it left below /root for a program that the stage starts."""
    inherited = facts.image.inherited if facts.image is not None else None
    for tool in inherited.tools if inherited is not None else ():
        is_set_here = any(name in facts.variables for name in tool.unless)
        if not is_set_here and re.search(rf"\b{tool.started_as}\b", start_text(project, facts)):
            yield inherited.origin if inherited is not None else "", tool


@lru_cache(maxsize=256)
def tools_of(step: Step) -> tuple[Mapping[str, Any], ...]:
    """Return the tables of the tools that a RUN step uses, or an ADD fetches, wherever their files go; each once."""
    found: list[Mapping[str, Any]] = []
    if step.instruction.keyword == "RUN":
        candidates = [*by_commands(step), *by_text(step)]
    else:
        candidates = [one for one in by_text(step) if "addresses" in one] if is_fetching(step) else []
    for tool in candidates:
        if tool not in found:
            found.append(tool)
    return tuple(found)


def writes_to_store(step: Step, owned: tuple[str, ...]) -> bool:
    """Whether a program of a RUN step keeps packages where a variable says, and that is not below ``owned``."""
    return any(not below(path, owned) for path in stores_of(step))


def stores_of(step: Step) -> frozenset[str]:
    """Return the directories in which programs of a RUN step keep packages, where variables say; ``/`` if not known."""
    programs = knowledge()["stores"]["programs"]
    working = (one for one in step.commands or () if not (one.arguments and one.arguments[0].raw in PRINTS))
    names = {shell.program(command.name) for command in working}
    return frozenset(
        step.variables[name] or "/"
        for program in names & programs.keys()
        for name in programs[program]
        if name in step.variables
    )


def is_fetching(step: Step) -> bool:
    """Whether a step is an ``ADD https://...``."""
    return step.instruction.keyword == "ADD" and "://" in step.instruction.value


def by_commands(step: Step) -> Iterator[dict[str, Any]]:
    """Yield the tools whose command a step has."""
    for command in step.commands or ():
        name = MINOR_VERSION.sub(r"\1", shell.program(command.name))
        for head, tool in heads().get(name, ()):
            if begins([name, *(argument.text or "" for argument in command.arguments)], head, tool):
                yield tool


def begins(words: list[str], head: list[str], tool: Mapping[str, Any]) -> bool:
    """Whether the words of a command begin with ``head``, and those that a tool's table asks for follow."""
    rest = words[len(head) :]
    return (
        words[: len(head)] == head
        and all(word in rest for word in tool.get("words", ()))
        and not any(word in rest for word in tool.get("without", ()))
    )


def by_text(step: Step) -> Iterator[dict[str, Any]]:
    """Yield the tools that a step's text, heredocs included, speaks of."""
    text = text_of(step)
    for pattern, tool in texts():
        if pattern.search(text):
            yield tool


def text_of(step: Step) -> str:
    """Return the text of an instruction as it is written, with its heredocs."""
    span = step.instruction.span
    if not step.instruction.heredocs:
        return step.instruction.value
    return step.dockerfile.data[span.start : span.stop].decode("utf-8", "replace")


def is_elsewhere(project: Project, facts: StageFacts, use: Use) -> bool:
    """Whether the files of a use are not below /root: by a variable, an option, the base image, a cache mount."""
    step, tool = use
    text = " ".join([*(flag.value or "" for flag in step.instruction.flags), text_of(step)])
    if is_fetching(step):  # what is fetched is run later
        text += " ".join(text_of(one) for one in facts.steps if one.instruction.keyword == "RUN")
    settled = " ".join(text_of(one) for one in facts.steps if one.instruction.keyword == "RUN")
    if any(is_set(word, settled if "." in word else text, step) for word in tool.get("unless", ())):
        return True  # a key with a dot is one of a configuration file, which an earlier step may write
    if "base" in tool and re.search(tool["base"], facts.reference or ""):
        return True
    mounts = [match[1] for match in re.finditer(r"(?:target|dst|destination)=([^,\s]+)", text)]
    if any(below(place, tuple(mounts)) for place in tool.get("places", ())):
        return True  # what lies there is no part of the image
    return bool(tool.get("brings_python")) and has_python(project, facts, text)


def start_text(project: Project, facts: StageFacts) -> str:
    """Return what the image starts, as it is written, with the scripts of the build context that it leads to."""
    steps = [step.instruction.value for step in (facts.entrypoint, facts.command) if step is not None]
    return "\n".join([*steps, *(text for _, text in start_scripts(project, facts))])


def start_scripts(project: Project, facts: StageFacts) -> Iterator[tuple[Origin, str]]:
    """Yield the scripts of the build context, or of a heredoc, that the image starts, with their text."""
    for command in processes.started(facts) or ():
        words = [command.name, *(argument.text or "" for argument in command.arguments)]
        for word in words:
            if not SCRIPT_NAME.search("/" + word):
                continue
            found = origin(project, facts, absolute(word, command.directory or facts.workdir or "/"))
            if found is not None and found.data is not None and b"\0" not in found.data[:1024]:
                yield found, found.data.decode("utf-8", "replace")


def is_set(word: str, text: str, step: Step) -> bool:
    """Whether a variable or an option that moves a tool is there, and does not itself point below /root."""
    if below(step.variables.get(word) or "/", ("/root",)):
        return False
    if word in text:
        return re.search(rf"\b{re.escape(word)}=[\"']?(?:~|/root\b|\$\{{?HOME\b)", text) is None
    return word in step.variables


def has_python(project: Project, facts: StageFacts, text: str) -> bool:
    """Whether uv finds a Python in the base image and takes it: no other version is asked for."""
    match = PYTHON_BASE.search(facts.reference or "")
    if match is None or re.search(r"--managed-python|--python[ =]|\s-p[ =]", text) or "UV_PYTHON" in facts.variables:
        return False
    pinned = (project.read(build_context(project) / ".python-version") or b"").decode("latin-1").strip()
    version = match[1] or match[2] or ""
    return not pinned or not version or pinned == version or pinned.startswith(version + ".")
