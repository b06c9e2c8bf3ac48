"""What an image keeps below /root, which has mode 0700: no other user may enter it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hardener import shell
from hardener.context import destination
from hardener.outcome import Reason
from hardener.paths import absolute, below
from hardener.privileges import only_reads
from hardener.processes import knowledge
from hardener.variables import expand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell import Command
    from hardener.stages import StageFacts

WAY_OUT = "move it to a path that every user can enter"
# What a build leaves in these is not needed again, or is made anew in another home.
CACHES = (
    "/root/.cache", "/root/.bashrc", "/root/.profile", "/root/.zshrc", "/root/.npm", "/root/.config/pip",
    "/root/.gnupg", "/root/.wget-hsts", "/root/.m2", "/root/.gradle", "/root/.ivy2", "/root/.sbt",
    "/root/.nuget", "/root/.bundle", "/root/.gem", "/root/.composer", "/root/.yarn",
)  # fmt: skip
HOME_PATH = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
PATHS_IN = ("ENV", "CMD", "ENTRYPOINT", "VOLUME", "HEALTHCHECK")
REMOVERS = frozenset(("rm", "rmdir", "unlink", "find"))
CONFIGURES = frozenset(
    (("git", "config"), ("npm", "config"), ("pip", "config"), ("composer", "config"), ("yarn", "config"))
)


def reasons(facts: StageFacts) -> Iterator[Reason]:
    """Yield every use of /root in a stage's chain that matters at run time."""
    first = facts.stage.instructions[0].line
    home = expand("$HOME", facts.variables) if "HOME" in facts.variables else None
    if home is not None and below(home, ("/root",)):
        yield Reason(first, "ENV sets HOME below /root", WAY_OUT)
    if facts.workdir is not None and below(facts.workdir, ("/root",)):
        yield Reason(first, f"its working directory {facts.workdir} is below /root", WAY_OUT)
    for step in facts.steps:
        instruction = step.instruction
        if instruction.keyword in PATHS_IN and mentions_root(instruction.value):
            yield Reason(instruction.line, f"{instruction.keyword} uses a path below /root", WAY_OUT)
        if instruction.keyword in ("COPY", "ADD"):
            target = destination(step)
            if target is not None and below(target, ("/root",)):
                yield Reason(instruction.line, f"{instruction.keyword} puts files below /root", WAY_OUT)
    for step, command in facts.run_commands:
        for one in tools().get(shell.program(command.name), ()):
            if matches(command, one, step.instruction.value, facts):
                yield Reason(step.instruction.line, one["reason"], one["way_out"])
        path = written_below_root(command)
        if path is not None:
            yield Reason(
                step.instruction.line, f"{shell.program(command.name) or 'a redirection'} writes {path}", WAY_OUT
            )
    for step in facts.steps:
        for one in knowledge()["installer"] if step.instruction.keyword == "RUN" else ():
            text = step.instruction.value
            if any(address in text for address in one["addresses"]) and not moved(one, text, facts):
                yield Reason(step.instruction.line, one["reason"], one["way_out"])


@lru_cache(maxsize=1)
def tools() -> dict[str, list[dict[str, Any]]]:
    """Return the ``root_home`` tables by the first word of their command."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in knowledge()["root_home"]:
        for pattern in one["command"].split("|"):
            found.setdefault(pattern.split(" ")[0], []).append(one)
    return found


def matches(command: Command, table: dict[str, Any], text: str, facts: StageFacts) -> bool:
    """Whether a command is the one of a ``root_home`` table, without what would move it out of /root."""
    words = [shell.program(command.name), *(argument.text or "" for argument in command.arguments)]
    for pattern in table["command"].split("|"):
        head = pattern.split(" ")
        rest = words[len(head) :]
        if (
            words[: len(head)] == head
            and all(word in rest for word in table["words"])
            and not any(word in rest for word in table.get("without", ()))
            and not moved(table, text, facts)
        ):
            return True
    return False


def moved(table: dict[str, Any], text: str, facts: StageFacts) -> bool:
    """Whether a variable or an option in the step or the stage puts the tool's files elsewhere."""
    return any(word in text or word in facts.variables for word in table.get("unless", ()))


def written_below_root(command: Command) -> str | None:
    """Return the path below /root that a build command makes or writes, ``None`` for caches and for removals."""
    name = shell.program(command.name)
    words = [argument.text or argument.raw for argument in command.arguments]
    if name in REMOVERS or (name, words[0] if words else "") in CONFIGURES:
        return None
    targets = [target.text or target.raw for operator, target in command.redirects if operator.startswith(">")]
    for word in targets if only_reads(command) else [*words, *targets]:
        path = absolute(HOME_PATH.sub("/root", word.partition("=")[2] or word), command.directory or "/")
        if below(path, ("/root",)) and path != "/root" and not below(path, CACHES):
            return path
    return None


def mentions_root(text: str) -> bool:
    """Whether a text has /root as a path, not as a part of another word."""
    return re.search(r"(?<![\w\-./}])/root(?![\w\-.])", text) is not None
