"""The command line: reads options, calls the library, prints, and chooses the exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.bulk import Failure, Hardened, Pending

# The garbage collector looks at what lives; a run makes little garbage in cycles, and by default a fifth of its time
# went there.  Processes that are forked for many files have this too.
COLLECT_AFTER = 200_000

EXAMPLES = """\b
Examples:
  harden Dockerfile                 print the hardened Dockerfile
  harden . --diff                   show a patch for every Dockerfile below this folder
  harden . --diff | git apply       and apply it
  harden Dockerfile --in-place      write it
  harden . --check                  exit with 1 if anything would change, e.g. in CI
  harden - < Dockerfile             from standard input to standard output

\b
Exit codes: 0 done or nothing to do, 1 --check found something to change, 2 a file could not be read.
Leave something alone: `# harden: ignore` or `# harden: ignore=move_port` above a line (at the top: whole file).
"""


# The commands beside `harden PATH...`: name, module, and the line for --help.  Imported when they are called.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("hardener.run.command", "Print the docker run line of the hardened image."),
    "checklist": ("hardener.checklist.command", "Answer the hardening checklist for a project."),
    "rules": ("hardener.reports.rules_command", "List the fixers and the reasons against a switch."),
    "explain": ("hardener.reports.explain_command", "Explain a fixer or a reason against a switch."),
    "ci": ("hardener.ci.command", "Add harden --check and an image scan to a CI pipeline."),
    "pr": ("hardener.bot.command", "Open a repository's pull request, or bring it up to date."),
    "repos": ("hardener.repos.command", "Harden many repositories: folders, files of URLs, clone URLs."),
    "verify": ("hardener.verify.command", "Build and run a project before and after, and compare."),
}


class Main(click.Command):
    """`harden PATH...`, and in front of it the choice of a command: `harden NAME ...` (a path of that name: ./NAME)."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the command that the first argument names, else this one."""
        given = list(sys.argv[1:] if args is None else args)
        if given and given[0] in COMMANDS:
            return command(given[0]).main(given[1:], f"{prog_name or 'harden'} {given[0]}", *rest, **extra)
        return super().main(given, prog_name, *rest, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and then the other commands."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands (harden COMMAND --help)"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def command(name: str) -> click.Command:
    """Return the command of that name: the object `command` of its module."""
    from importlib import import_module  # noqa: PLC0415

    found: click.Command = import_module(COMMANDS[name][0]).command
    return found


@click.command(
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXAMPLES,
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--diff", "mode", flag_value="diff", help="Show a unified diff that `git apply` takes.")
@click.option("--in-place", "mode", flag_value="write", help="Write the hardened files.")
@click.option("--check", "mode", flag_value="check", help="Only say what would change; exit 1 if anything would.")
@click.option("--select", metavar="FIXER,...", help="Run only these fixers.")
@click.option("--ignore", metavar="FIXER,...", help="Run all fixers but these.")
@click.option("--uid", type=click.IntRange(1, 2**31 - 1), help="User id of the new user.  [default: 5000]")
@click.option("--gid", type=click.IntRange(1, 2**31 - 1), help="Group id of the new group.  [default: 5000]")
@click.option("--user", metavar="NAME", help="Name of the new user.  [default: appuser]")
@click.option("--group", metavar="NAME", help="Name of the new group.  [default: appgroup]")
@click.option(
    "--user-style",
    type=click.Choice(["numeric", "name"]),
    help="Write USER and --chown as 5000:5000 or as appuser:appgroup.  [default: numeric]",
)
@click.option(
    "--ports",
    "port_policy",
    type=click.Choice(["move", "keep", "capability"]),
    help="Move ports below 1024, keep them, or keep them and write the sysctl that allows it.  [default: move]",
)
@click.option("--port", "ports", multiple=True, metavar="OLD=NEW", help="Where a port below 1024 goes.  [80=8080]")
@click.option(
    "--prefer-unprivileged-variant",
    is_flag=True,
    help="Build FROM a server's maintained unprivileged image where there is one with that tag.",
)
@click.option("--inspect", is_flag=True, help="Ask docker or podman about base images that are not known.")
@click.option(
    "--keep-root-entrypoint",
    is_flag=True,
    help="For images with data in the field: start as root, give the volumes to the new user, go on as it.",
)
@click.option("--verify", is_flag=True, help="With --in-place: build and run before and after, write only what passed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github", "gitlab", "markdown"]),
    default="text",
    help="Print a report for people or machines on standard output; nothing is written without --in-place.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the reason of every change.")
@click.version_option(__version__, prog_name="harden")
def main(
    paths: tuple[str, ...], mode: str | None, form: str, *, verify: bool, quiet: bool, verbose: bool, **options: Any
) -> None:
    """Rewrite Dockerfiles so that their containers run as a non-root user.

    PATH is a Dockerfile, a Compose file, a folder (every Dockerfile and Compose file below it, without those that Git
    ignores), or - for standard input.  Without an option the hardened file is printed; nothing is written.  What became
    of each image (switched, already, manual) and of each service (hardened, already, left) is said on standard error.
    """
    from hardener.settings import ConfigurationError  # noqa: PLC0415  --help and --version need none of it

    try:
        overrides = overrides_from(options)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    if form != "text" and (mode == "diff" or verify):
        raise click.UsageError(f"--format {form} and {'--verify' if verify else '--diff'} exclude each other")
    if verify:
        if mode != "write" or "-" in paths:
            raise click.UsageError("--verify goes with --in-place and with files: it writes only what passed")
        from hardener.verify.in_place import verify_and_write  # noqa: PLC0415

        sys.exit(verify_and_write(paths, overrides, quiet=quiet, verbose=verbose))
    gc.set_threshold(COLLECT_AFTER, 50, 50)
    if form != "text":
        from hardener.reports.printing import print_report  # noqa: PLC0415

        sys.exit(print_report(form, paths, overrides, mode))
    failed = changed = False
    pending: Pending = {}
    for one in results(paths, overrides, pending):
        status = show(one, mode, quiet=quiet, verbose=verbose)
        if mode == "write":
            pending.clear()
        failed = failed or status == "failed"
        changed = changed or status == "changed"
    sys.exit(2 if failed else int(changed and mode == "check"))


def overrides_from(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ``Settings`` that were given on the command line."""
    from hardener.settings import account_name, fixer_names, port_mapping  # noqa: PLC0415

    chosen = {name: value for name, value in options.items() if value}
    for name in ("user", "group"):
        if options[name] is not None:
            chosen[name] = account_name(options[name], f"--{name}")
    for name in ("select", "ignore"):
        if name in chosen:
            names = tuple(one.strip().replace("-", "_") for one in chosen[name].split(",") if one.strip())
            chosen[name] = fixer_names(names, f"--{name}")
    if "inspect" in chosen:
        from hardener import inspection  # noqa: PLC0415

        if inspection.engine() is None:
            raise click.UsageError(f"--inspect needs {' or '.join(inspection.ENGINES)} on PATH")
    if "ports" in chosen:
        chosen["ports"] = port_mapping(chosen["ports"], "--port")
    return chosen


def results(paths: tuple[str, ...], overrides: dict[str, Any], pending: Pending) -> Iterator[Hardened | Failure]:
    """Yield the outcome of every path, in order."""
    from hardener.bulk import harden_paths, harden_stream  # noqa: PLC0415

    for path in paths:
        if path == "-":
            yield harden_stream(sys.stdin.buffer.read(), overrides)
        else:
            yield from harden_paths([Path(path)], overrides, pending)


def show(one: Hardened | Failure, mode: str | None, *, quiet: bool, verbose: bool) -> str:
    """Print or write one outcome and return ``failed``, ``changed`` or ``same``."""
    from hardener import report  # noqa: PLC0415
    from hardener.bulk import Failure  # noqa: PLC0415

    if isinstance(one, Failure):
        say(f"error: {one}")
        return "failed"
    result = one.result
    if mode == "write" and result.changed:
        failure = write(one)
        if failure is not None:
            say(f"error: {failure}")
            return "failed"
    if mode is None:
        output(result.after.files[result.after.dockerfile_path] if one.printed else b"")
    elif mode == "diff":
        output(coloured(report.unified_diff(result, one.folder)))
    if not quiet:
        for line in report.summary(result, one.name):
            say(line)
    if verbose:
        for line in (*report.details(result, one.name), *report.data_steps(result), *report.size(result, one.name)):
            say(f"  {line}")
    return "changed" if result.changed else "same"


def write(one: Hardened) -> Failure | None:
    """Write one result; an error of the file system becomes a ``Failure``."""
    from hardener.bulk import Failure  # noqa: PLC0415
    from hardener.project import UnsafePath  # noqa: PLC0415
    from hardener.writing import write as write_files  # noqa: PLC0415

    try:
        write_files(one.result)
    except OSError as error:
        return Failure(one.name, 0, f"cannot be written: {error.strerror or error}")
    except UnsafePath as error:
        return Failure(one.name, 0, str(error))
    return None


def say(line: str) -> None:
    """Write one line to standard error, with what a file could smuggle into a terminal made visible."""
    text = line if line.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
    click.echo(text, err=True)


def output(data: bytes) -> None:
    """Write bytes to standard output as they are; a full disk ends the program with one line and exit code 2."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:  # `| head`: click ends quietly
            raise
        say(f"error: standard output cannot be written: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter flushes it once more
        sys.exit(2)


def coloured(diff: bytes) -> bytes:
    """Return a diff with colours where standard output is a terminal that wants them (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return diff
    colours = {b"+": b"\x1b[32m", b"-": b"\x1b[31m", b"@": b"\x1b[36m"}
    lines = diff.split(b"\n")
    return b"\n".join(colours[line[:1]] + line + b"\x1b[0m" if line[:1] in colours else line for line in lines)
