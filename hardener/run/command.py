"""`harden run PATH`: prints the command line that starts each hardened image, and why each option is there."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--engine", type=click.Choice(["docker", "podman"]), default="docker", help="Whose line.", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Print the command alone, without its reasons.")
def command(path: Path, engine: str, *, quiet: bool) -> None:
    """Print the complete command line that starts the hardened image of a Dockerfile, or of each below a folder.

    What is not known is said, never guessed; nothing is written or run.  The image is the hardened one: write it with
    `harden PATH --in-place`, build it with the line that is shown, then run it.
    """
    from hardener import terminal  # noqa: PLC0415
    from hardener.bulk import Failure, harden_paths  # noqa: PLC0415
    from hardener.outcome import Outcome  # noqa: PLC0415
    from hardener.run.options import line_for  # noqa: PLC0415

    failed = False
    for one in harden_paths([path]):
        if isinstance(one, Failure):
            terminal.say(f"error: {one}")
            failed = True
            continue
        if not one.result.stages:
            continue
        last = one.result.stages[-1]
        if last.verdict.outcome is Outcome.MANUAL:
            terminal.say(
                f"{one.name}:{last.verdict.line}: it runs as root: {last.verdict.reason} ({last.verdict.way_out})"
            )
        line = line_for(one.result, engine)
        if not quiet:
            click.echo(f"# {one.name}\n" + line.build)
            for text in line.once:
                click.echo(f"# once, for data that the image wrote as root before:\n# {text}")
        click.echo(line.command)
        if not quiet:
            click.echo("\n".join(line.explained()) + "\n")
    sys.exit(2 if failed else 0)
