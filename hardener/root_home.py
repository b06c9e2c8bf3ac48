"""What an image keeps below /root, which has mode 0700: no other user may enter it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener import root_tools, shell
from hardener.context import destination
from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Reason
from hardener.paths import absolute, below
from hardener.privileges import only_reads
from hardener.variables import expand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

WAY_OUT = "move it to a path that every user can enter"
# What a build leaves in these is not needed again, or is made anew in another home.
CACHES = (
    "/root/.cache", "/root/.bashrc", "/root/.profile", "/root/.zshrc", "/root/.npm", "/root/.config/pip",
    "/root/.gnupg", "/root/.wget-hsts", "/root/.m2", "/root/.gradle", "/root/.ivy2", "/root/.sbt",
    "/root/.nuget", "/root/.bundle", "/root/.gem", "/root/.composer", "/root/.yarn",
    "/root/.ash_history", "/root/.bash_history", "/root/.python_history", "/root/.viminfo",
)  # fmt: skip
HOME_PATH = lazy_pattern(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
PATHS_IN = ("ENV", "CMD", "ENTRYPOINT", "VOLUME", "HEALTHCHECK")
REMOVERS = frozenset(("rm", "rmdir", "unlink", "find"))
CONFIGURES = frozenset(
    (("git", "config"), ("npm", "config"), ("pip", "config"), ("composer", "config"), ("yarn", "config"))
)


def reasons(project: Project, facts: StageFacts) -> Iterator[Reason]:
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
    for use in root_tools.uses(project, facts):
        yield Reason(use.step.instruction.line, use.tool["reason"], use.tool["way_out"])
    for where, tool in root_tools.inherited_uses(project, facts):
        yield Reason(first, f"{where}: {tool.reason}", f"{tool.way_out}, in {where}")
    for step, command in facts.run_commands:
        path = written_below_root(command)
        if path is not None:
            yield Reason(
                step.instruction.line, f"{shell.program(command.name) or 'a redirection'} writes {path}", WAY_OUT
            )


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
