"""``harden verify PATH``: its options, its exit codes, and what it prints."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from hardener.verify.engine import ENGINES
from hardener.verify.runner import Wishes

EPILOG = """\b
Examples:
  harden verify .                                 harden a copy, build and run both, compare
  harden verify . --probe http://localhost:8000/health --probe 'POST http://localhost:8000/add name=x'
  harden verify . --learn                         ... and write what mends it into the configuration
  harden verify . --against main                  what is here was hardened already: compare it with a Git revision
  harden . --in-place --verify                    write only what passed

\b
Exit codes: 0 the same or better, 1 broken, 2 an error, or nothing could be judged, 3 no container engine answers.
"""
OK, IS_BROKEN, ERROR, NO_ENGINE = 0, 1, 2, 3
SKIPPABLE = ("again", "upgrade", "locked", "arbitrary")


def run_options(function: Any) -> Any:
    """Add the options that say how things are built, run and asked."""
    for option in reversed(
        (
            click.option(
                "--engine",
                "engine_name",
                type=click.Choice(ENGINES),
                help="The engine to use.  [default: the first that answers]",
            ),
            click.option(
                "--probe",
                "probes",
                multiple=True,
                metavar="PROBE",
                help="Ask this, in order: http://HOST:PORT/PATH, 'POST URL BODY', tcp:PORT, 'cmd:COMMAND'.",
            ),
            click.option("--build-network", metavar="NAME", default="", help="Network of the build steps, e.g. host."),
            click.option("--build-arg", "build_args", multiple=True, metavar="NAME=VALUE", help="Build argument."),
            click.option(
                "--without-syntax-line",
                is_flag=True,
                help="Build without `# syntax=` lines, which name an image of a registry.",
            ),
            click.option(
                "--env",
                "environment",
                multiple=True,
                metavar="NAME=VALUE",
                help="Variable of a single image's container.",
            ),
            click.option(
                "--volume",
                "volumes",
                multiple=True,
                metavar="PATH",
                help="Volume of a single image's container, besides its own.",
            ),
            click.option(
                "--run",
                "run_command",
                metavar="COMMAND",
                default="",
                help="Command for a single image, in place of its CMD.",
            ),
            click.option(
                "--context",
                metavar="FOLDER",
                default="",
                help="Build context of a single image.  [default: the Dockerfile's folder]",
            ),
            click.option("--target", metavar="STAGE", default="", help="Stage of a single image.  [default: the last]"),
            click.option(
                "--compose",
                "compose",
                multiple=True,
                metavar="FILE",
                help="Compose file to run, relative to PATH.  [default: the one beside PATH]",
            ),
            click.option(
                "--no-compose", is_flag=True, help="Run the images one by one, also where a Compose file is there."
            ),
            click.option(
                "--tolerance",
                type=click.FloatRange(0, 1),
                default=0.0,
                show_default=True,
                help="Share of an answer's body that may differ.",
            ),
            click.option(
                "--allow-log",
                "allowed_log",
                multiple=True,
                metavar="REGEX",
                help="Lines of a log that may tell of a refusal.",
            ),
            click.option(
                "--skip", "skip", multiple=True, type=click.Choice(SKIPPABLE), help="Leave out one way of starting."
            ),
            click.option(
                "--timeout",
                type=click.FloatRange(1),
                default=60.0,
                show_default=True,
                help="Seconds for a start to become ready.",
            ),
            click.option(
                "--build-timeout",
                type=click.FloatRange(1),
                default=900.0,
                show_default=True,
                help="Seconds for a build.",
            ),
            click.option(
                "--publish-address",
                default="127.0.0.1",
                show_default=True,
                metavar="ADDRESS",
                help="Where ports are published; a remote engine needs one that is reached from here.",
            ),
        )
    ):
        function = option(function)
    return function  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EPILOG)
@click.argument("path", default=".", metavar="[PATH]")
@click.option(
    "--against",
    metavar="FOLDER|REVISION",
    help="PATH is hardened already; compare it with this folder or Git revision.",
)
@click.option(
    "--learn", is_flag=True, help="Where it breaks, configure what mends it, try again, and keep what passed."
)
@click.option("--attempts", type=click.IntRange(1, 20), default=5, show_default=True, help="How often --learn tries.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON; - for standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Print the verdicts only.")
@click.option("-v", "--verbose", is_flag=True, help="Show the builds as they run.")
@run_options
@click.pass_context
def command(context: click.Context, /, path: str, **_: Any) -> NoReturn:
    """Build and run a project before and after its hardening, and compare.

    PATH is a folder or a Dockerfile.  It is copied, and hardened there (or, with --against, taken as it is); both are
    built and started side by side: as always, on used volumes, on volumes that the image before wrote, locked up
    (--cap-drop ALL --read-only --security-opt no-new-privileges), and as an arbitrary user.  Nothing in PATH is
    touched but, with --learn, its configuration.  The configuration may hold options: [verify] in hardener.toml.
    """
    sys.exit(verify(Path(path), context, {}).code)


def wishes_from(options: dict[str, Any]) -> Wishes:
    """Return the options as wishes."""
    return Wishes(
        build_network=options["build_network"], build_arguments=tuple(options["build_args"]),
        build_seconds=options["build_timeout"], start_seconds=options["timeout"],
        environment=tuple(options["environment"]), volumes=tuple(options["volumes"]),
        command=tuple(shlex.split(options["run_command"])), context=options["context"], target=options["target"],
        publish_address=options["publish_address"], tolerance=options["tolerance"], skip=frozenset(options["skip"]),
        allowed_log=tuple(options["allowed_log"]),
    )  # fmt: skip


def verify(path: Path, context: click.Context, overrides: dict[str, Any]) -> Any:
    """Run a verification with a context's options and print its report.

    Returns a `hardener.verify.verification.Finished`.
    """
    from hardener.settings import ConfigurationError  # noqa: PLC0415
    from hardener.terminal import say  # noqa: PLC0415
    from hardener.verify import registry, verification  # noqa: PLC0415
    from hardener.verify.engine import EngineFailed, EngineGone, EngineMissing, find  # noqa: PLC0415
    from hardener.verify.kept_options import with_kept  # noqa: PLC0415
    from hardener.verify.probes import ProbeError, parse  # noqa: PLC0415
    from hardener.verify.progress import Progress  # noqa: PLC0415
    from hardener.verify.workspace import WorkspaceError  # noqa: PLC0415

    if not path.exists():
        say(f"error: {path}: there is no such file")
        return verification.Finished(ERROR)
    try:
        options = with_kept(context, path, overrides)
        probes = tuple(parse(one) for one in options["probes"]) or None
    except ProbeError as error:
        raise click.UsageError(str(error)) from error
    except ConfigurationError as error:
        say(f"error: {error}")
        return verification.Finished(ERROR)
    progress = Progress(say, quiet=options["quiet"], verbose=options["verbose"])
    try:
        engine = find(options["engine_name"])
        with registry.opened(engine, progress.line) as run:
            request = verification.Request(path, probes, options, wishes_from(options), overrides)
            finished = verification.run(request, engine, run, progress)
    except EngineMissing as error:
        say(f"error: {error}; nothing was built or run. Install Docker or Podman, or start it, and try again")
        return verification.Finished(NO_ENGINE)
    except registry.Interrupted as error:
        progress.clear()
        say(f"{error}; everything that was made is removed")
        return verification.Finished(128 + error.number)
    except EngineGone as error:
        progress.clear()
        say(f"error: {error}; the next run removes what this one left")
        return verification.Finished(ERROR)
    except (EngineFailed, WorkspaceError, ConfigurationError, OSError) as error:
        progress.clear()
        say(f"error: {error}")
        return verification.Finished(ERROR)
    progress.clear()
    write_json(finished.document, options["json_file"], say)
    return finished


def write_json(document: dict[str, Any], file: str | None, say: Any) -> None:
    """Write the report as JSON where it was asked for."""
    if file is None:
        return
    text = json.dumps(document, indent=2)
    if file == "-":
        with suppress(BrokenPipeError):
            click.echo(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        say(f"error: {file} cannot be written: {error.strerror}")
