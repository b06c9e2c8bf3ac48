"""What a build command creates for the running application: databases, upload folders, collected files."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from hardener.command_options import options_of
from hardener.command_paths import ALWAYS_WRITABLE, resolved
from hardener.command_rules import canonical, matching, tables
from hardener.paths import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell_command import Argument, Command


class RuntimeState(NamedTuple):
    """What a build command creates for the running application: why that matters, and the paths if known."""

    reason: str
    paths: tuple[str, ...] = ()


def runtime_state(command: Command) -> RuntimeState | None:
    """Return what ``command`` creates that the application is likely to write at run time, or ``None``.

    Told by the names of commands (migrations, ``collectstatic``) and paths (``mkdir logs``, ``touch x.db``).
    """
    paths = [path for one in created(command) if (path := resolved(one, command)) and is_state(path)]
    if paths:
        return RuntimeState(f"the build makes {', '.join(paths)}, as if for run time", tuple(paths))
    name, arguments = canonical(command)
    rule = matching(tables()["state"], name, arguments)
    if rule is None:
        return None
    if rule.entry != "sqlite3":
        return RuntimeState(rule.table["reason"])
    if not any(one.text and one.text[0] != "-" for one in arguments):
        return None
    database = resolved(arguments[0], command)
    return RuntimeState(rule.table["reason"], (database,) if database else ())


def created(command: Command) -> Iterator[Argument]:
    """Yield the words that name what the command makes."""
    yield from (target for operator, target in command.redirects if operator in (">", ">>", ">|"))
    name, arguments = canonical(command)
    rule = matching(tables()["rules"], name, arguments)
    if name in ("mkdir", "touch", "install") and rule is not None:
        options = options_of(rule.table, arguments)
        if name != "install" or options.names & {"d", "directory"}:
            yield from options.words


def is_state(path: str) -> bool:
    """Whether a path is named like one that applications write."""
    facts, last = tables(), posixpath.basename(path)
    is_named = last in facts["directories"] or last.endswith(facts["suffixes"])
    return not below(path, ALWAYS_WRITABLE) and (is_named or below(path, facts["below"]))
