"""`harden completion SHELL`: the script by which a shell completes commands, options and their values.

The scripts and their protocol are click's (https://click.palletsprojects.com/en/stable/shell-completion/).  They ask a
group; `harden` is none, since it takes paths where a group has a command, so one is made of it here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from hardener.cli import COMMANDS, COMPLETE, main
from hardener.cli import command as command_of
from hardener.terminal import show_text

if TYPE_CHECKING:
    from collections.abc import Iterable

SHELLS = ("bash", "zsh", "fish")
# What has to be done once, for each shell.
INSTALL = {
    "bash": 'eval "$(harden completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(harden completion zsh)"  # in ~/.zshrc, after compinit',
    "fish": "harden completion fish > ~/.config/fish/completions/harden.fish",
}


class Everything(click.Group):
    """`harden` as a group: its commands, and its own options after a path."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, ``None`` for a path."""
        return command_of(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names; for a path none, and remember that no command can follow."""
        found = self.get_command(ctx, args[0])
        if found is None:
            ctx.meta[__name__] = True
        return (args[0] if found is not None else None), found, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Return options for a word that begins like one, else commands (as the first word) and paths."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        names = [] if ctx.meta.get(__name__) else [one for one in COMMANDS if one.startswith(incomplete)]
        if not names:
            return [CompletionItem(incomplete, type="file")]
        return [*(CompletionItem(one, help=COMMANDS[one][1]) for one in names), *map(CompletionItem, here(incomplete))]


def here(incomplete: str) -> Iterable[str]:
    """Yield the entries of the current folder that a word begins: a shell asked for paths too forgets the rest."""
    for entry in sorted(os.scandir(), key=lambda one: one.name):
        if entry.name.startswith(incomplete) and not entry.name.startswith("."):
            yield f"{entry.name}/" if entry.is_dir() else entry.name


def everything() -> Everything:
    """Return the group that shells ask."""
    options: list[click.Parameter] = [one for one in main.params if isinstance(one, click.Option)]
    return Everything("harden", params=options)


def complete(instruction: str) -> int:
    """Answer a shell, as the variable says in which it asks; return the exit code."""
    return shell_complete(everything(), {}, "harden", COMPLETE, instruction)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\n" + "\n".join(INSTALL.values()),
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes commands, options and their values in a shell."""
    made = get_completion_class(shell)
    assert made is not None
    show_text(made(everything(), {}, "harden", COMPLETE).source())
