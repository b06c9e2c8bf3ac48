"""Whether the account may execute the script that an image starts: mode and owner of a copied file.

Root executes what has any execute bit; everybody else needs the bit of their own (execve(2)).
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import context
from hardener.directories import working_directories
from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Reason
from hardener.paths import absolute, below
from hardener.processes import SCRIPT_NAME, started
from hardener.shell import program
from hardener.stages import POSIX_SHELLS, is_root
from hardener.start_scripts import script_path
from hardener.user_steps import fragile_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.context import Origin
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

READ, EXECUTE = 4, 1
CHANGE = r"([ugoa]*)([-+=])([rwxXst]*)"
SYMBOLIC = lazy_pattern(CHANGE)
MODE = lazy_pattern(rf"[0-7]{{3,4}}|{CHANGE}(?:,{CHANGE})*")


class Script(NamedTuple):
    """A copied script that the image starts.

    ``mode`` are its permission bits, ``None`` where they are not known; ``needs`` those that a user must have.
    """

    path: str
    step: Step
    source: Origin
    mode: int | None
    needs: int

    @property
    def is_for_owner(self) -> bool:
        """Whether the owner may run it and others may not."""
        return (
            self.mode is not None and self.mode & self.needs != self.needs and self.mode >> 6 & self.needs == self.needs
        )

    @property
    def is_for_root(self) -> bool:
        """Whether root alone may run it, whoever owns it: 0111 has no bit to read it by."""
        bits = () if self.mode is None or self.is_for_nobody else (self.mode, self.mode >> 6)
        return bool(bits) and all(one & self.needs != self.needs for one in bits)

    @property
    def is_for_nobody(self) -> bool:
        """Whether it is started as a program and has no execute bit at all."""
        return self.mode is not None and bool(self.needs & EXECUTE) and not self.mode & 0o111


@lru_cache(maxsize=256)
def start_scripts(project: Project, facts: StageFacts) -> tuple[Script, ...]:
    """Return the scripts that ENTRYPOINT and CMD start and that a COPY or ADD brings."""
    found: list[Script] = []
    for command in started(facts) or ():
        path = script_path(command)
        source = context.origin(project, facts, path) if path is not None else None
        if path is None or source is None or source.missing:
            continue
        needs = READ if program(command.name) in POSIX_SHELLS else READ | EXECUTE
        found.append(Script(path, source.step, source, mode_of(project, facts, source, path), needs))
    return tuple(found)


def mode_of(project: Project, facts: StageFacts, source: Origin, path: str) -> int | None:
    """Return the permission bits of a copied file when the build is done, ``None`` where they are not known."""
    mode = first_mode(project, source)
    seen = False
    for step in facts.steps:
        if step is source.step:
            seen = True
        elif seen and step.instruction.keyword == "RUN":
            for command in step.commands or ():
                if program(command.name) == "chmod":
                    mode = after_chmod(mode, command, path)
    return mode


def first_mode(project: Project, source: Origin) -> int | None:
    """Return the permission bits that COPY gives: those of ``--chmod``, of the file, or a heredoc's 0644.

    Only the execute bit of a file counts: Git keeps no other, and what a checkout makes of the rest is its umask's.
    """
    given = context.flag(source.step.instruction, "chmod")
    if given is not None:
        return int(given, 8) & 0o777 if re.fullmatch("[0-7]{3,4}", given) else None
    if source.path is None:
        return 0o644 if source.data is not None else None
    try:
        assert project.root is not None
        return 0o755 if (project.root / source.path).stat().st_mode & 0o100 else 0o644
    except (OSError, AssertionError):
        return None


def after_chmod(mode: int | None, command: Command, path: str) -> int | None:
    """Return permission bits after a ``chmod``, which may be about other files."""
    words = [argument.text if argument.text is not None else argument.raw for argument in command.arguments]
    position = next((i for i, word in enumerate(words) if MODE.fullmatch(word)), None)
    if position is None:
        return mode
    recursive = any(re.fullmatch("-[A-Za-z]*R[A-Za-z]*|--recursive", word) for word in words[:position])
    targets = [absolute(word, command.directory or "/") for word in words[position + 1 :] if not word.startswith("-")]
    if not any(fnmatchcase(path, one) or (recursive and below(path, (one,))) for one in targets):
        return mode
    return changed(mode, words[position])


def changed(mode: int | None, text: str) -> int | None:
    """Return permission bits after the octal or symbolic mode of a ``chmod`` (umask 022)."""
    if text.isdecimal():
        return int(text, 8) & 0o777
    if mode is None:
        return None
    for who, operator, what in SYMBOLIC.findall(text):
        bits = sum({"r": 4, "w": 2, "x": 1}.get(one, int(one == "X" and bool(mode & 0o111))) for one in set(what))
        mask = 0
        for one in (who or "a").replace("a", "ugo"):
            mask |= bits << {"u": 6, "g": 3, "o": 0}[one]
        if not who:
            mask &= ~0o022
        if operator == "=":
            for one in (who or "a").replace("a", "ugo"):
                mode &= ~(7 << {"u": 6, "g": 3, "o": 0}[one])
        mode = mode & ~mask if operator == "-" else mode | mask
    return mode


def is_owner_only(project: Project, facts: StageFacts, step: Step) -> bool:
    """Whether a step copies a start script that only its owner may run in the end."""
    return any(one.step is step and one.is_for_owner for one in start_scripts(project, facts))


def is_start_script(facts: StageFacts, step: Step) -> bool:
    """Whether a step copies just the script that the image starts: it is read and run, never written."""
    sources, _ = context.copy_arguments(step.instruction)
    target = context.destination(step)
    if target is None or len(sources) != 1 or not SCRIPT_NAME.search("/" + sources[0]):
        return False
    name = sources[0].rpartition("/")[2]
    return any(script_path(command) in (target, absolute(name, target)) for command in started(facts) or ())


def gets_owner(project: Project, facts: StageFacts, script: Script) -> bool:
    """Whether the account owns a script in the end: by a ``--chown`` that is there, or that `own_copied` adds."""
    given = context.flag(script.step.instruction, "chown")
    if given is not None:
        return not is_root(given)
    if fragile_after(project, facts, script.step, frozenset()):
        return False
    return is_start_script(facts, script.step) or below(script.path, working_directories(facts))


def closed(project: Project, facts: StageFacts) -> Iterator[Reason]:
    """Yield the start scripts that root alone may run, and that nobody else is given."""
    for one in start_scripts(project, facts):
        if one.is_for_root or (one.is_for_owner and not gets_owner(project, facts, one)):
            text = f"its start script {one.path} has mode {one.mode:o}: only root may run it"
            yield Reason(one.step.instruction.line, text, "use chmod 755 there")


def notes(project: Project, facts: StageFacts) -> Iterator[str]:
    """Yield what keeps a start script from starting for everybody, root too; a person has to mend it."""
    for one in start_scripts(project, facts):
        name = one.source.path
        if name is None or one.source.data is None or not one.needs & EXECUTE:
            continue
        if one.is_for_nobody:
            yield f"{name} has no execute bit: `git update-index --chmod=+x {name}`"
        first = one.source.data.split(b"\n", 1)[0]
        if first.startswith(b"#!") and first.endswith(b"\r") and not cleans_line_ends(facts):
            yield f"{name}:1: its #! line ends in CR, so the kernel finds no such interpreter: save it with LF"


def cleans_line_ends(facts: StageFacts) -> bool:
    """Whether a build step turns CRLF into LF, in whatever file."""
    runs = (step.instruction.value for step in facts.steps if step.instruction.keyword == "RUN")
    return any(re.search(r"dos2unix|\\r|\\015", text) for text in runs)
