"""The options of ``harden repos``: which ones other commands share, what they mean together, which a state keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hardener import cli

if TYPE_CHECKING:
    from hardener.repos.journal import Journal

# The options of `harden PATH...` that say how to harden; they mean the same here.
HARDENING = frozenset((
    "select", "ignore", "uid", "gid", "user", "group", "user_style", "port_policy", "ports",
    "prefer_unprivileged_variant", "keep_root_entrypoint",
))  # fmt: skip
STATE = "harden-repos.sqlite"
OWN_BRANCH = "harden/non-root"


def hardening_options(found: click.Command) -> click.Command:
    """Add the options of `harden PATH...` that say how to harden."""
    found.params += [one for one in cli.main.params if one.name in HARDENING]
    return found


def mode(options: dict[str, Any]) -> str:
    """Return what is done with plans; raises ``click.UsageError`` where the options do not fit."""
    named = {
        "in-place": options["in_place"],
        "branch": options["branch"] and not options["pull_requests"],
        "patches": options["patches"],
        "pull-requests": options["pull_requests"],
    }
    asked = [name for name, value in named.items() if value]
    if len(asked) > 1:
        raise click.UsageError(f"choose one of --{' and --'.join(asked).replace('pull-requests', 'pr')}")
    if not asked and not options["dry_run"]:
        raise click.UsageError("say what to do: --dry-run, --in-place, --branch NAME, --patches DIR or --pr")
    if options["allow_dirty"] and not options["in_place"]:
        raise click.UsageError("--allow-dirty belongs to --in-place")
    if "@" in urlsplit(options["api_url"] or "").netloc:
        raise click.UsageError(
            "--api-url holds a user name or password; leave it out, see `harden pr --help` for secrets"
        )
    if options["wait"] and not options["pull_requests"]:
        raise click.UsageError("--wait belongs to --pr")
    branch = options["branch"]
    if branch and not is_branch_name(branch):
        raise click.UsageError(f"--branch: {branch!r} is no name that git takes for a branch")
    return asked[0] if asked else "show"


def is_branch_name(name: str) -> bool:
    """Whether git takes a name for a branch: the rules of https://git-scm.com/docs/git-check-ref-format."""
    bad = set(" ~^:?*[\\\x7f")
    parts = name.split("/")
    return (
        bool(name)
        and not any(one in bad or one < " " for one in name)
        and not any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
        and ".." not in name
        and "@{" not in name
        and not name.startswith("-")
        and name not in ("@", "HEAD")
    )


# What a later run takes over from the state, unless it says otherwise; the rest is about the process, not the work.
KEPT = (
    "dry_run", "in_place", "allow_dirty", "branch", "patches", "pull_requests", "clones", "base_branch", "author",
    "time_limit", "memory_limit", "include", "exclude", "topics", "languages", "pushed_since", "archived", "forks",
    *sorted(HARDENING),
)  # fmt: skip


def proposing(options: dict[str, Any]) -> dict[str, Any]:
    """Return those of the options that are about pull requests: what ``harden pr`` has and the rest of them has not."""
    from hardener.bot.command import command  # noqa: PLC0415  it needs the options of this module

    return {one.name: options[one.name] for one in command.params if one.name in options}


def kept(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the state keeps."""
    return {name: options[name] for name in (*KEPT, *proposing(options))}


def resumed(journal: Journal, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the earlier run, with those that are given now in their place."""
    context = click.get_current_context()
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    before = journal.last_options() or {}
    lists = {name: tuple(value) for name, value in before.items() if isinstance(value, list)}
    return {**options, **before, **lists, **given}
