"""Which RUN steps work as the new user, and which would stumble over its files as root."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import privileges, servers
from hardener.command_paths import ALWAYS_WRITABLE, resolved
from hardener.context import build_context, copy_arguments, destination, git_may_be_copied
from hardener.directories import working_directories
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.project import entries
from hardener.root_tools import stores_of, tools_of, writes_to_store
from hardener.stages import is_root
from hardener.tool_directories import writes_elsewhere

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

# These ask Git about the folder they work in, or run programs that do.
GIT_CALLERS = frozenset(("git", "go", "make", "pip", "pip3", "hatch", "poetry", "uv", "cargo", "goreleaser"))
# These do where the project tells them to.
MAY_CALL_GIT = frozenset(
    ("npm", "npx", "yarn", "pnpm", "bun", "bundle", "rake", "gradle", "mvn", "mix", "cmake", "python", "python3", "sbt")
)
BUILD_FILE = lazy_pattern(
    r"package\.json|[\w.-]+\.config\.[cm]?[jt]s|vue\.config\.js|build\.gradle(?:\.kts)?|pom\.xml|Rakefile|[\w.-]+\.gemspec"
    r"|mix\.exs|setup\.py|pyproject\.toml|CMakeLists\.txt|build\.sbt"
)
ASKS_GIT = lazy_pattern(
    rb"\bgit['\",\s]+(?:rev-parse|describe|log|ls-files|rev-list|show|status|branch|diff|config)\b"
    rb"|setuptools[_-]scm|versioneer|git-revision|git-rev-sync|simple-git|git-commit-id|sbt-git"
)
OLD_NPM = lazy_pattern(r"^npm@\^?[78](?:\.|$)")  # `npm install -g npm@8`
# Any home will do to judge a command by: every account that is created gets one of its own.
HOME = "/home/appuser"


def root_reason(command: Command, owned: tuple[str, ...]) -> str | None:
    """Return why a command needs root; ``None`` where a user with a home, who owns ``owned``, can run it."""
    return privileges.root_reason(command, (*owned, HOME), HOME)


def steps_as_user(facts: StageFacts) -> frozenset[Step]:
    """Return the RUN steps that come after USER."""
    return frozenset(facts.own_steps[position] for position in tail_as_user(facts))


@lru_cache(maxsize=256)
def tail_as_user(facts: StageFacts) -> tuple[int, ...]:
    """Return the positions (in the stage's own steps) of the last RUN steps, if they work without root.

    Only together: a step that wrote into the application's directories as root, before, makes the ones after
    it need root too, since they may rewrite what it left.  They come after the last USER: one that stood between
    them and the start would undo the switch.
    """
    server = servers.server_of(facts)
    if server is not None and server.same_workers:
        return ()  # its account has no home to write in, and the files stay root's
    own = facts.own_steps
    owned = working_directories(facts)
    last_user = next((i for i, step in enumerate(own) if step is facts.user_step), -1)
    runs = [i for i, step in enumerate(own) if step.instruction.keyword == "RUN" and i > last_user]
    first = len(runs)
    everybody = facts.image.writable if facts.image is not None else ()
    while first > 0 and works_as_user(own[runs[first - 1]], owned, everybody):
        first -= 1
    while first < len(runs):
        rest = facts.steps[: facts.steps.index(own[runs[first]])]
        clashing = [at for at in range(first, len(runs)) if meets_root(facts, own[runs[at]], rest, owned)]
        if not clashing:
            break
        first = clashing[-1] + 1
    before = [
        step for step in facts.steps if step.instruction.keyword == "RUN" and step not in [own[i] for i in runs[first:]]
    ]
    if any(touches_application(step, owned) for step in before) or is_filled(facts):
        return ()
    return tuple(runs[first:])


def is_filled(facts: StageFacts) -> bool:
    """Whether the Dockerfile of the base image writes, as root, where the application's own files are."""
    return facts.image is not None and facts.image.inherited is not None and facts.image.inherited.filled


def works_as_user(step: Step, owned: tuple[str, ...], everybody: tuple[str, ...]) -> bool:
    """Whether a RUN step is known to work as a user that owns ``owned``; ``everybody`` may write the other paths."""
    if any(one.name in ("mount", "security") for one in step.instruction.flags):
        return False  # cache and secret mounts belong to root
    if not is_root(step.user or ""):
        return False
    commands = step.commands
    if not commands or tools_of(step) or writes_to_store(step, (*owned, *everybody, HOME, *ALWAYS_WRITABLE)):
        return False  # what is installed beside the application stays root's, in its own place
    return all(root_reason(command, owned) is None for command in commands) and not writes_elsewhere(
        step, (*owned, *everybody, HOME)
    )


def meets_root(facts: StageFacts, step: Step, before: tuple[Step, ...], owned: tuple[str, ...]) -> bool:
    """Whether a RUN step after USER meets what is root's: a package store that steps ``before`` filled, or a folder.

    ``mkdir /app`` fails where the directory has been made for the user, and without that the user could not make it.
    """
    if any(path in owned and not exists_before(facts, step, path) for path in made_exactly(step)):
        return True
    shared = stores_of(step)
    return bool(shared) and any(is_root(one.user or "") and shared & stores_of(one) for one in before)


def made_exactly(step: Step) -> tuple[str, ...]:
    """Return the absolute paths that commands of a RUN step make under just that name, where nothing is yet.

    Where a directory is there already, ``mkdir`` without ``-p`` fails, and ``mv``, ``cp`` and ``ln`` put what they
    bring into it instead.
    """
    found: list[str] = []
    for command in step.commands or ():
        words = [one.text for one in command.arguments if one.text and not one.text.startswith("-")]
        options = {one.text for one in command.arguments if one.text and one.text.startswith("-")}
        if command.name == "mkdir" and not options & {"-p", "--parents"}:
            made = words
        elif command.name in ("mv", "cp", "ln"):
            made = words[-1:]
        else:
            continue
        found += [absolute(word, command.directory) for word in made if command.directory is not None]
    return tuple(found)


def exists_before(facts: StageFacts, step: Step, path: str) -> bool:
    """Whether WORKDIR, COPY or ADD made a directory before a step."""
    earlier = facts.steps[: facts.steps.index(step)]
    copied = (destination(one) for one in earlier if one.instruction.keyword in ("COPY", "ADD"))
    return path == step.workdir or any(one is not None and below(one, (path,)) for one in copied)


def touches_application(step: Step, owned: tuple[str, ...]) -> bool:
    """Whether a RUN step may write, as root, where the application's own files are."""
    commands = step.commands
    if commands is None:
        return True
    if gives_away(commands):
        return False
    for command in commands:
        if command.name == "mkdir" and {*made_exactly(step)} <= {*owned}:
            continue  # empty, and given to the account
        reason = root_reason(command, owned)
        if reason is None and not privileges.only_reads(command):
            return True
        if reason is not None and privileges.is_unknown(reason):
            return True
    return False


def is_changed_as_user(facts: StageFacts, copy: Step) -> bool:
    """Whether a RUN step that comes after USER may change the one file that a COPY brings: `chmod +x start.sh`."""
    target = destination(copy)
    sources, _ = copy_arguments(copy.instruction)
    names = {target, *(absolute(source.rpartition("/")[2], target) for source in sources if target is not None)}
    for step in steps_as_user(facts):
        for command in step.commands or ():
            if privileges.only_reads(command):
                continue
            words = (*command.arguments, *(word for _, word in command.redirects))
            paths = [path for one in words if (path := resolved(one, command)) is not None]
            if any(name is not None and may_name(path, name) for path in paths for name in names):
                return True
    return False


def may_name(path: str, file: str) -> bool:
    """Whether a path of a command, which may end in ``*`` for a pattern, means a file or a folder that it is in."""
    return below(file, (path,)) or (path.endswith("*") and below(file, (path[:-1].rstrip("/") or "/",)))


def gives_away(commands: tuple[Command, ...]) -> bool:
    """Whether a RUN is what `own_directories` writes: directories made, and each of them given to an account."""
    if [command.name for command in commands] != ["mkdir", "chown"]:
        return False
    made, given = ({argument.text for argument in command.arguments[1:]} for command in commands)
    return made <= given


def fragile_after(project: Project, facts: StageFacts, step: Step, as_user: frozenset[int]) -> bool:
    """Whether a later step, as root, would stumble over files that belong to another user.

    npm 7 and 8 run scripts as the owner of the directory when they are root; Git refuses the repository of
    another user.  See `privileges.minds_owner`.
    """
    has_git = git_may_be_copied(project, step)
    seen = False
    for later in facts.steps:
        seen = seen or later is step
        if not seen or later.instruction.keyword != "RUN" or later.instruction.line in as_user:
            continue
        tools = {command.name.rpartition("/")[2] for command in later.commands or ()}
        if not tools.isdisjoint(("npm", "npx")) and old_npm(facts):
            return True
        if not has_git:
            continue
        if not tools.isdisjoint(GIT_CALLERS) or (not tools.isdisjoint(MAY_CALL_GIT) and build_calls_git(project)):
            return True
        if later.commands is None or any(unknown(command) for command in later.commands):
            return True
    return False


@lru_cache(maxsize=64)
def build_calls_git(project: Project) -> bool:
    """Whether a file that steers the build, in the top folder of the build context, asks Git for a version."""
    folder = build_context(project)
    names = entries(str(project.root / folder)) if project.root is not None else ()
    files = (project.read(folder / name) for name in sorted(names) if BUILD_FILE.fullmatch(name))
    return any(data is not None and ASKS_GIT.search(data) for data in files)


def unknown(command: Command) -> bool:
    """Whether a command is a script of the project, which may call git."""
    return "/" in command.name and not command.name.startswith("/usr")


def old_npm(facts: StageFacts) -> bool:
    """Whether the npm of a stage may be version 7 or 8, by the tag of a node image; unknown counts as yes.

    https://nodejs.org/en/about/previous-releases lists the npm of each release: 15 to 18 brought 7 and 8.
    """
    if any(OLD_NPM.search(one.shown) for _, command in facts.run_commands for one in command.arguments):
        return True
    name, _, tag = (facts.reference or "").partition(":")
    if not (name == "node" or name.endswith("/node")):
        return True
    digits = tag.partition(".")[0].partition("-")[0]
    if not digits.isdecimal():
        return digits in ("fermium", "gallium", "hydrogen")
    return 15 <= int(digits) <= 18
