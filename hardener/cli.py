"""The command line: reads options, calls the library, prints, and chooses the exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

# The garbage collector looks at what lives; a run makes little garbage in cycles, and by default a fifth of its time
# went there.  Processes that are forked for many files have this too.  Thousands of Dockerfiles leave some 330,000
# objects in the caches, which are bounded.
COLLECT_AFTER = 1_000_000

EXAMPLES = """\b
Examples:
  harden Dockerfile                 print the hardened Dockerfile
  harden . --diff                   show a patch for every Dockerfile below this folder
  harden . --diff | git apply       and apply it
  harden Dockerfile --in-place      write it
  harden . --check                  exit with 1 if anything would change, e.g. in CI
  harden . --check --changed-since origin/main   ... on lines that this branch changes
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
    "graph": ("hardener.graph.command", "Draw stages, users, owners and ports, before and after."),
    "ci": ("hardener.ci.command", "Add harden --check and an image scan to a CI pipeline."),
    "pr": ("hardener.bot.command", "Open a repository's pull request, or bring it up to date."),
    "repos": ("hardener.repos.command", "Harden many repositories: folders, files of URLs, clone URLs."),
    "verify": ("hardener.verify.command", "Build and run a project before and after, and compare."),
    "completion": ("hardener.completion", "Print the script that completes commands and options in a shell."),
}
# In it a shell asks for completions: https://click.palletsprojects.com/en/stable/shell-completion/
COMPLETE = "_HARDEN_COMPLETE"
# With it a fault of the program shows its traceback.
DEBUG = "HARDEN_DEBUG"


class Main(click.Command):
    """`harden PATH...`, and in front of it the choice of a command: `harden NAME ...` (a path of that name: ./NAME)."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the command that the first argument names, else this one."""
        # The memory goes back as a whole; to look through all of it for cycles before took a tenth of a run.
        atexit.register(gc.freeze)
        try:
            return self.chosen(list(sys.argv[1:] if args is None else args), prog_name, *rest, **extra)
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            from hardener.terminal import say  # noqa: PLC0415

            say(f"error: {type(error).__name__}: {error}; this is a fault of harden: please report it, with {DEBUG}=1")
            sys.exit(2)

    def chosen(self, given: list[str], prog_name: str | None, *rest: Any, **extra: Any) -> Any:
        """Run the command that the first argument names, else this one; answer a shell that asks for completions."""
        if COMPLETE in os.environ:
            from hardener.completion import complete  # noqa: PLC0415

            sys.exit(complete(os.environ[COMPLETE]))
        if given and given[0] in COMMANDS:
            return command(given[0]).main(given[1:], f"{prog_name or 'harden'} {given[0]}", *rest, **extra)
        return super().main(given, prog_name, *rest, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read options and paths; a first word that is no file is looked for among the commands."""
        meant = near_command(args[0]) if args else ""
        if meant:
            raise click.UsageError(f"there is no file or command {args[0]!r}; did you mean `harden {meant}`?", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and then the other commands."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands (harden COMMAND --help)"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def near_command(word: str) -> str:
    """Return the command that a word is a slip of, ``""`` where it is none or a file has that name."""
    if not word.isalpha() or os.path.lexists(word):
        return ""
    from difflib import get_close_matches  # noqa: PLC0415

    return next(iter(get_close_matches(word, COMMANDS, 1, 0.7)), "")


def choose_colour(ctx: click.Context, _: click.Parameter, value: str) -> str:
    """Keep the choice where `hardener.terminal.wants_colour` looks: this context and those of its commands."""
    ctx.color = {"auto": ctx.color, "always": True, "never": False}[value]
    return value


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
    type=click.Choice(["text", "json", "sarif", "github", "gitlab", "markdown", "html"]),
    default="text",
    help="Print a report for people or machines on standard output; nothing is written without --in-place.",
)
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, allow_dash=False, path_type=Path),
    metavar="FILE",
    help="Write what would be printed (a report, a diff, the hardened file) to a file, in one step.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    expose_value=False,
    is_eager=True,
    callback=choose_colour,
    help="Colours: on a terminal, also by NO_COLOR and FORCE_COLOR.  [default: auto]",
)
@click.option(
    "--changed-since",
    "since",
    metavar="REVISION",
    help="With --check: only what stands on lines that changed since the branch left REVISION.",
)
@click.option("--engine", type=click.Choice(["docker", "podman", "buildah"]), help="With --verify: the engine to use.")
@click.option("--probe", "probes", multiple=True, metavar="PROBE", help="With --verify: ask this; see harden verify.")
@click.option("--learn", is_flag=True, help="With --verify: configure what mends what breaks, and try again.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the reason of every change.")
@click.version_option(__version__, prog_name="harden")
def main(
    paths: tuple[str, ...],
    mode: str | None,
    form: str,
    target: Path | None,
    since: str | None,
    *,
    verify: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Rewrite Dockerfiles so that their containers run as a non-root user.

    PATH is a Dockerfile, a Compose file, a folder (every Dockerfile and Compose file below it, without those that Git
    ignores), or - for standard input.  Without an option the hardened file is printed; nothing is written.  What became
    of each image (switched, already, manual) and of each service (hardened, already, left) is said on standard error.
    """
    from hardener.settings import ConfigurationError  # noqa: PLC0415  --help and --version need none of it

    given = verify_words(options)
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

        sys.exit(verify_and_write(paths, overrides, given, quiet=quiet, verbose=verbose))
    if given:
        raise click.UsageError(f"{given[0]} goes with --verify")
    if target is not None and form == "text" and mode in ("write", "check"):
        raise click.UsageError("--output goes with something that is printed: --diff, --format, or neither")
    gc.set_threshold(COLLECT_AFTER, 50, 50)
    if since and (mode != "check" or "-" in paths):
        raise click.UsageError("--changed-since goes with --check and with files")
    from hardener import showing  # noqa: PLC0415

    with showing.destination(target) as out:
        if form != "text" or since:
            from hardener.reports.printing import print_report  # noqa: PLC0415

            code = print_report(form, paths, overrides, mode, out, since=since, quiet=quiet)
        else:
            code = showing.print_text(paths, overrides, mode, out, quiet=quiet, verbose=verbose)
    sys.exit(code)


def verify_words(options: dict[str, Any]) -> list[str]:
    """Take the options that belong to ``--verify`` out of all; return them as words of ``harden verify``."""
    engine, probes, learn = options.pop("engine"), options.pop("probes"), options.pop("learn")
    words = ["--engine", engine] if engine else []
    words += [word for one in probes for word in ("--probe", one)]
    return [*words, "--learn"] if learn else words


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
