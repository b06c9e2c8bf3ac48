"""What one shell command needs: root, or only the directories its user owns.

The knowledge is data, in ``commands.toml`` beside this module.  A command that is not known there, or has an
argument that is not, counts as one that needs root.
"""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import privilege_checks as checks
from hardener.command_paths import UNKNOWN, WRITING, Run, unreadable, unwritable_redirect
from hardener.command_rules import canonical, matching
from hardener.command_rules import tables as _tables
from hardener.packages import package_manager, package_names
from hardener.runtime_state import RuntimeState, runtime_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.shell_command import Command

__all__ = [
    "RuntimeState", "is_certain", "is_unknown", "only_reads", "package_manager", "package_names", "root_reason",
    "runtime_state",
]  # fmt: skip

CHECK_OF_KIND = {"paths": checks.check_paths, "work": checks.check_work}
CHECK_OF_PROGRAM = {
    "find": checks.check_find,
    "tar": checks.check_tar,
    "dd": checks.check_dd,
    **dict.fromkeys(("awk", "gawk", "mawk"), checks.check_awk),
}


def root_reason(command: Command, owned: Sequence[str], home: str) -> str | None:
    """Return why ``command`` needs root, as a clause such as "writes /etc/app.conf".

    ``None`` only when it is known to work as an unprivileged user who owns everything below the absolute
    paths ``owned``, ``home`` being the user's home directory (owned only if it is in ``owned``).
    """
    name, arguments = canonical(command)
    run = Run(name, arguments, command, normalised(tuple(owned)), home)
    for wrapper in command.wrappers:
        if wrapper in ("sudo", "doas", "su"):
            return f"{wrapper} needs root"
    reason = unwritable_redirect(run)
    if reason is not None or not command.name:
        return reason
    rule = matching(_tables()["rules"], name, arguments)
    if rule is not None and rule.kind == "root":
        return checks.check_root(run, rule)
    reason = unreadable(run)
    if reason is not None:
        return reason
    if name in CHECK_OF_PROGRAM:
        return CHECK_OF_PROGRAM[name](run)
    if rule is None:
        return None if only_prints(run) else unknown_command(run)
    return None if rule.kind == "read" else CHECK_OF_KIND[rule.kind](run._replace(name=rule.entry), rule)


@lru_cache(maxsize=64)
def normalised(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths without ``..`` and doubled slashes; the same ones are asked for every command of a stage."""
    return tuple(map(posixpath.normpath, paths))


def only_prints(run: Run) -> bool:
    """Whether a command without a rule is asked for nothing but its version, or is a bare builtin."""
    if not run.arguments:
        return run.name in ("env", "exec", "time", "hostname")
    only = [one.text for one in run.arguments]
    return "/" not in run.name and "$" not in run.name and only in (["--version"], ["--help"], ["-version"])


def unknown_command(run: Run) -> str:
    """Return the reason for a command without a rule; its subcommand is part of its name."""
    subcommand = next((one.text or "" for one in run.arguments), "")
    return UNKNOWN + (run.name if subcommand.startswith("-") else f"{run.name} {subcommand}".rstrip(" "))


def is_certain(reason: str) -> bool:
    """Whether a reason of ``root_reason`` says that root is needed, not only that the need is not known."""
    return not is_unknown(reason) and not reason.endswith(_tables()["maybe"])


def is_unknown(reason: str) -> bool:
    """Whether a reason of ``root_reason`` only says that nothing is known of the command."""
    return reason.startswith(UNKNOWN)


def only_reads(command: Command) -> bool:
    """Whether ``command`` is known to print or read, and no redirection of it writes a file."""
    if any(operator in WRITING and target.text != "/dev/null" for operator, target in command.redirects):
        return False
    rule = matching(_tables()["rules"], *canonical(command))
    return not command.name or (rule is not None and rule.kind == "read")
