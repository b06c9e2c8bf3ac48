"""Whose program an image starts: the project's own, a service of the system's, or a tool for other people's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import context, privileges, shell
from hardener.context import copy_arguments, destination
from hardener.copied_sources import stage_of
from hardener.directories import working_directories
from hardener.image import ImageReference
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import SYSTEM_TREES, absolute, below
from hardener.processes import SCRIPT_NAME, is_runtime, knowledge, program, programs, started
from hardener.stages import POSIX_SHELLS
from hardener.start_scripts import followed, is_shell_script, script_path
from hardener.user_steps import root_reason

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

LANGUAGE_INSTALLERS = frozenset(
    ("pip", "npm", "gem", "go", "cargo", "composer", "yarn", "pnpm", "pipx", "uv", "python", "poetry", "bundle")
)
# Of the runtimes, those that only lead to something else.
SHELLS = frozenset((*POSIX_SHELLS, "zsh", "fish"))
HELPERS = frozenset((*POSIX_SHELLS, "zsh", "busybox", "env", "exec", "wait", "trap", "curl", "wget", "sleep", "make"))
PROGRAM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
# Programs, start scripts and PHP's settings: what a base image has too.
WITHOUT_CONTENT = ("/usr/local/etc", "/etc/php", *PROGRAM_FOLDERS)
DOCUMENTS = lazy_pattern(r"/var/www|/htdocs|/html\b|/etc/(?:nginx|apache2)/.*\.conf")
# What brings a project's files, besides COPY.
FETCHERS = frozenset(
    ("git", "curl", "wget", "tar", "unzip", "svn", "composer", "cp", "mv", "echo", "printf", "npm", "rsync", "tee")
)
# What installs the project itself or the list of its dependencies: the program may be any of them.
WHOLE_LISTS = frozenset(("-r", "--requirement", ".", "--path", "-e"))


def foreign_program(project: Project, facts: StageFacts) -> str | None:
    """Return the name of the program the image starts, where that is neither the project's own nor its runtime.

    The project's own is what it copies in, what it builds in its own folders, and what a language's package manager
    installs.
    """
    for command in started(facts) or ():
        name = command.name
        base = shell.program(name)
        # A name of the program table that is no obstacle is a harmless namesake, such as BusyBox' httpd.
        if not base or "$" in name or base in programs() or is_runtime(command) or privileges.only_reads(command):
            continue
        known = root_reason(command, working_directories(facts)) is None
        if known and copies_application(facts):
            continue
        if "/" in name:
            path = absolute(name, facts.workdir or "/")
            built_here = not below(path, SYSTEM_TREES) and copies_application(facts)
            if built_here or context.origin(project, facts, path) is not None:
                continue
        elif any(context.origin(project, facts, f"{folder}/{name}") is not None for folder in PROGRAM_FOLDERS):
            continue
        ours = serves(facts) or copies_application(facts)
        if not (ours and installed_by_language(facts, base)):
            return base
    return None


def program_of_another_image(project: Project, facts: StageFacts) -> tuple[Step, str, str] | None:
    """Return the COPY that brings the started program from an image of somebody else's, its name, and that image.

    A program of one file that is found by its name, beside the project's own files, is a runtime of theirs.
    """
    for command in started(facts) or ():
        name = command.name
        if not name or "$" in name or is_runtime(command) or privileges.only_reads(command):
            continue
        if "/" not in name and copies_application(facts):
            continue
        folders = (facts.workdir or "/",) if "/" in name else PROGRAM_FOLDERS
        for path in (absolute(name, folder) for folder in folders):
            found = context.origin(project, facts, path)
            source = context.flag(found.step.instruction, "from") if found is not None else None
            if found is not None and source and is_image_of_others(project, source):
                return found.step, name, source
    return None


def is_image_of_others(project: Project, source: str) -> bool:
    """Whether ``COPY --from`` names an image that neither this Dockerfile nor another one of the repository builds."""
    if "$" in source or stage_of(project, source) is not None:
        return False
    name = ImageReference.parse(source).name
    from hardener import own_images  # noqa: PLC0415  few Dockerfiles copy from an image

    return project.root is None or not own_images.named(project.root, name, project.dockerfile_path)


def installed_by_language(facts: StageFacts, name: str) -> bool:
    """Whether pip, npm, gem, go, cargo or composer installs something of that name, or a list that may have it."""
    for _, command in facts.run_commands:
        if shell.program(command.name).rstrip("0123456789.") not in LANGUAGE_INSTALLERS:
            continue
        if any(one.raw in WHOLE_LISTS or name.rstrip("d") in one.raw for one in command.arguments):
            return True
    return False


def serves(facts: StageFacts) -> bool:
    """Whether an image says that it is a service: it exposes a port or keeps a volume."""
    return any(step.instruction.keyword in ("EXPOSE", "VOLUME") for step in facts.steps)


def copies_application(facts: StageFacts) -> bool:
    """Whether anything of the project is in the image but its start script and files of the system."""
    scripts = {script_path(command) for command in started(facts) or ()}
    for step in facts.steps:
        if step.instruction.keyword not in ("COPY", "ADD"):
            continue
        sources, _ = copy_arguments(step.instruction)
        target = destination(step)
        names = {target} | {absolute(source.rpartition("/")[2], target) for source in sources if target is not None}
        alone = len(sources) == 1 and SCRIPT_NAME.search(f"/{sources[0]}") is not None
        if target is None or not (below(target, SYSTEM_TREES) or (alone and names & scripts)):
            return True
    return False


def holds_content(facts: StageFacts) -> bool:
    """Whether a server has something of a project: files or configuration copied in, or fetched by a RUN."""
    if any(one.instruction.keyword == "HEALTHCHECK" for one in facts.steps):
        return True  # nobody asks a base image for its health
    copies = (one for one in facts.steps if one.instruction.keyword in ("COPY", "ADD"))
    if any((target := destination(one)) is None or not below(target, WITHOUT_CONTENT) for one in copies):
        return True
    return any(
        shell.program(command.name) in FETCHERS
        for _, command in facts.run_commands
        if any(DOCUMENTS.search(one.raw) for one in command.arguments)
        or any(operator == ">" and DOCUMENTS.search(word.raw) for operator, word in command.redirects)
    )


def works_on_mounted_files(facts: StageFacts, name: str) -> bool:
    """Whether a tool is one for files: by its name, or since the image starts it in a folder made for them."""
    own_folder = facts.workdir not in (None, "/", "/app", "/usr/src/app")
    return own_folder or name in knowledge()["file_tool"]["names"]


def starts_something_of_its_own(project: Project, facts: StageFacts) -> bool:
    """Whether the start is known to be the project's: in a language's runtime, or a program that it copies in."""
    for first in started(facts) or ():
        for command in (first, *followed(project, facts, first)):
            base = shell.program(command.name)
            if base in HELPERS or privileges.only_reads(command):
                continue
            if is_runtime(command) or program(command) is not None:
                return True  # a known server was asked about by itself
            if is_copied_program(project, facts, command):
                return True
    return False


def is_copied_program(project: Project, facts: StageFacts, command: Command) -> bool:
    """Whether a command is a program, not a shell script, that the Dockerfile copies in."""
    folders = (command.directory or "/",) if "/" in command.name else PROGRAM_FOLDERS
    origins = (context.origin(project, facts, absolute(command.name, folder)) for folder in folders)
    return any(one is not None and (one.data is None or not is_shell_script(one.data)) for one in origins)


def is_bare_runtime(facts: StageFacts) -> bool:
    """Whether the image starts an interpreter with nothing to run and holds nothing of a project, or just a shell."""
    commands = [one for one in started(facts) or () if not SCRIPT_NAME.search(f"/{one.name}")]
    if not commands or not all(is_bare(one) for one in commands):
        return False
    return not copies_application(facts) or all(shell.program(one.name) in SHELLS for one in commands)


def is_bare(command: Command) -> bool:
    """Whether a command is an interpreter or a shell without anything to run."""
    return is_runtime(command) and all((one.text or "x").startswith("-") for one in command.arguments)
