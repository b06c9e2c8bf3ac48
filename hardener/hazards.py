"""What an application cannot do any more as another user: read what the build hid, rewrite what it built."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import privileges, processes, shell
from hardener.directories import volumes, working_directories
from hardener.handed_commands import SOURCES
from hardener.outcome import Reason
from hardener.package_scripts import package_script
from hardener.paths import absolute, below
from hardener.script_modes import closed, gets_owner, start_scripts
from hardener.stages import is_root
from hardener.start_scripts import followed
from hardener.user_steps import root_reason, steps_as_user, touches_application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

# Nobody needs these at run time.
UNIMPORTANT = (
    "/root", "/tmp", "/var/tmp", "/etc/sudoers", "/etc/sudoers.d", "/etc/shadow", "/etc/cron.d", "/var/lib/apt",
    "/usr/sbin/policy-rc.d",
)  # fmt: skip
# What prepares a directory, and what fills it with other people's files.
MAKE_AND_GIVE = frozenset(("mkdir", "chown", "chmod", "chgrp", "rm", "rmdir", "install", "touch"))
INTERPRETERS = frozenset(("python", "node", "ruby", "php", "perl", "deno", "bun"))
# What runs a program of the project's environment.
STARTERS = (
    ("uv", "run"),
    ("poetry", "run"),
    ("pipenv", "run"),
    ("pdm", "run"),
    ("rye", "run"),
    ("bundle", "exec"),
    ("npx",),
)
PRINTS = frozenset(("--version", "-version", "-v", "-V", "version", "--help", "-h", "help"))
UNPACKERS = frozenset(("unzip", "tar", "git", "svn", "hg", "bsdtar", "7z"))


def hidden_files(project: Project, facts: StageFacts) -> Iterator[Reason]:
    """Yield build steps that leave files which only root can read: modes without rights for others, private keys."""
    scripts = (one.path for one in start_scripts(project, facts) if gets_owner(project, facts, one))
    owned = (*working_directories(facts), *scripts)
    yield from closed(project, facts)
    for step, command in facts.run_commands:
        if not is_root(step.user or ""):
            continue
        name = command.name.rpartition("/")[2]
        words = [argument.text or "" for argument in command.arguments]
        line = step.instruction.line
        if name == "chmod" and hides(words):
            paths = [
                absolute(word, command.directory or "/")
                for word in words[1:]
                if word and word[0] not in "-0123456789ugoa"
            ]
            paths = [one for one in paths if not below(one, (*owned, *UNIMPORTANT))]
            if paths:
                yield Reason(
                    line, f"chmod leaves {paths[0]} to root alone", "give it to the new user, or let others read it"
                )
        if name == "openssl" and any(word in ("genrsa", "genpkey", "-keyout") for word in words):
            yield Reason(
                line,
                "openssl writes a private key that only root can read",
                "chown the key to the new user in that step",
            )
        if name == "umask" and words and words[0][-1:] in "4567" and words[0].isdigit():
            yield Reason(line, f"umask {words[0]} hides what follows from other users", "use umask 022 there")


def hides(words: list[str]) -> bool:
    """Whether a chmod takes reading, or entering, from others."""
    mode = next(
        (word for word in words if re.fullmatch(r"[0-7]{3,4}|[ugoa]*[-+=][rwxXst]*(?:,[ugoa]*[-+=][rwxXst]*)*", word)),
        "",
    )
    if mode.isdigit():
        return int(mode[-1]) & 4 == 0 and int(mode[-1]) != 1
    return bool(re.search(r"(?:^|,)(?:o|go|og|ugo|a)?(?:-[wxst]*r|=(?:,|$))", mode)) and "u-r" not in mode


def state_of_root(project: Project, facts: StageFacts) -> Iterator[Reason]:
    """Yield build steps that fill, as root, what the application writes to: its database, a volume."""
    as_user = steps_as_user(facts)
    kept = volumes(project, facts)
    way_out = "let the new user run that step, or make it at the first start"
    for step, command in facts.run_commands:
        name = shell.program(command.name)
        if step in as_user or not is_root(step.user or "") or name in MAKE_AND_GIVE or privileges.only_reads(command):
            continue
        state = privileges.runtime_state(command)
        if state is not None and not state.paths:
            yield Reason(step.instruction.line, f"{state.reason}, as root", way_out)
        script = project_program(command, working_directories(facts)) or started_program(facts, command)
        if script is not None:
            text = f"the build runs {script} as root, and what it writes stays root's"
            yield Reason(step.instruction.line, text, way_out)
        words = [argument.text for argument in command.arguments]
        words += [target.text for operator, target in command.redirects if operator.startswith(">")]
        for word in words:
            if word and word[0] != "-" and "/" in word and below(absolute(word, command.directory or "/"), kept):
                yield Reason(step.instruction.line, f"{name} writes {word}, which is on a volume, as root", way_out)
        if kept and name in UNPACKERS and below(command.directory or "/", (facts.workdir or "/-",)):
            yield Reason(
                step.instruction.line, f"{name} fills {facts.workdir} as root, and the image keeps a volume", way_out
            )


def project_program(command: Command, owned: tuple[str, ...]) -> str | None:
    """Return the project's own program that a build command runs in the application's folder, if it does."""
    if shell.program(command.name).rstrip("0123456789.") not in INTERPRETERS or not below(
        command.directory or "/", owned
    ):
        return None
    script = next((one.text for one in command.arguments if one.text and not one.text.startswith("-")), None)
    known = root_reason(command, owned)
    if script is None or not script.endswith(SOURCES) or known is None or not privileges.is_unknown(known):
        return None
    return script


def started_program(facts: StageFacts, command: Command) -> str | None:
    """Return the program that the image starts, where a build command runs it for more than its version."""
    words = [command.name, *(one.text or "" for one in command.arguments)]
    words = next((words[len(one) :] for one in STARTERS if tuple(words[: len(one)]) == one), words)
    if len(words) < 2 or not PRINTS.isdisjoint(words):
        return None
    own = is_own_program(command, words[0], working_directories(facts))
    path = absolute(words[0], command.directory or "/")
    for one in processes.started(facts) or ():
        if processes.is_runtime(one):
            continue
        if "/" in one.name and absolute(one.name, facts.workdir or "/") == path:
            return words[0]
        if own and one.name == words[0]:
            return words[0]
    return None


def is_own_program(command: Command, name: str, owned: tuple[str, ...]) -> bool:
    """Whether a build command runs, in the application's folder, a program of which nothing is known."""
    known = root_reason(command, owned)
    return "/" not in name and below(command.directory or "/", owned) and known is not None


def rebuilds_at_start(project: Project, facts: StageFacts) -> Reason | None:
    """Return why a start command that rebuilds the project would fail: a step filled its directories as root."""
    command = next((one for one in start_commands(project, facts) if is_rebuild(one)), None)
    if command is None:
        return None
    as_user = steps_as_user(facts)
    owned = working_directories(facts)
    for step in facts.steps:
        if step.instruction.keyword != "RUN" or step in as_user or not touches_application(step, owned):
            continue
        first = facts.command or facts.entrypoint
        assert first is not None
        words = " ".join([command.name, *(argument.raw for argument in command.arguments[:2])])
        return Reason(
            first.instruction.line,
            f"{words} rewrites at start what line {step.instruction.line} built as root",
            "build and start in separate steps, or let the new user run that step too",
        )
    return None


def is_rebuild(command: Command) -> bool:
    """Whether a command builds or rewrites the project before it serves."""
    words = [command.name.rpartition("/")[2], *(argument.text or "" for argument in command.arguments)]
    words = words[1:] if words[0] in ("npx", "bunx") and len(words) > 1 else words
    return any(words[: len(one)] == one for one in rebuild_words().get(words[0], ()))


@lru_cache(maxsize=1)
def rebuild_words() -> dict[str, list[list[str]]]:
    """Return the rebuilding commands of ``processes.toml`` as words, by the first of them."""
    found: dict[str, list[list[str]]] = {}
    for one in processes.knowledge()["rebuilds"]["commands"]:
        words = one.split()
        found.setdefault(words[0], []).append(words)
    return found


def start_commands(project: Project, facts: StageFacts) -> Iterator[Command]:
    """Yield the commands of the image's start, with those of its scripts and of ``package.json``."""
    for command in processes.started(facts) or ():
        for one in (command, *followed(project, facts, command)):
            yield one
            for inner in package_script(project, facts, one):
                yield inner
                yield from followed(project, facts, inner)
