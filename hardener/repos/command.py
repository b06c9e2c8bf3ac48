"""``harden repos``: reads the options, starts the run, and says what became of each repository."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener import cli, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.repos.journal import Applied, Journal
    from hardener.repos.progress import Progress
    from hardener.repos.values import Plan, Task
    from hardener.repos.writer import Writer

STATE = "harden-repos.sqlite"
# The options of `harden PATH...` that say how to harden; they mean the same here.
HARDENING = frozenset((
    "select", "ignore", "uid", "gid", "user", "group", "user_style", "port_policy", "ports",
    "prefer_unprivileged_variant", "keep_root_entrypoint",
))  # fmt: skip
EXAMPLES = """\b
Examples:
  harden repos ~/src --dry-run                        show every change below a folder of repositories
  harden repos urls.txt --patches patches             a patch for `git am` from each repository of a list
  harden repos ~/src --branch harden/non-root         a commit in each, on a branch of its own
  harden repos --resume                               go on after a crash, or with what is new
  harden repos status                                 how far a run is, and what failed
  harden repos report --output report.html            what became of everything, by team, reason and base image

\b
Exit codes: 0 done, 1 a repository failed (the others are done), 2 the run stopped or could not begin.
"""


class Repos(click.Command):
    """`harden repos SOURCE...`, and before it the choice of `status` and `report` (a folder of that name: ./status)."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the subcommand that the first argument names, else this one."""
        given = list(sys.argv[2:] if args is None else args)
        if given and given[0] in ("status", "report"):
            from hardener.repos import reading  # noqa: PLC0415

            found: click.Command = getattr(reading, given[0])
            return found.main(given[1:], f"{prog_name or 'harden repos'} {given[0]}", *rest, **extra)
        return super().main(given, prog_name, *rest, **extra)


def hardening_options(found: click.Command) -> click.Command:
    """Add the options of `harden PATH...` that say how to harden."""
    found.params += [one for one in cli.main.params if one.name in HARDENING]
    return found


@hardening_options
@click.command(
    cls=Repos,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXAMPLES,
)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--dry-run", is_flag=True, help="Show every change as a diff; write nothing, not even a state.")
@click.option("--in-place", is_flag=True, help="Write the files of local work trees; a dirty one is refused.")
@click.option("--allow-dirty", is_flag=True, help="With --in-place: also where something is not committed.")
@click.option("--branch", metavar="NAME", help="Commit on this branch; the one that is checked out never moves.")
@click.option("--patches", metavar="DIR", help="Write a patch for `git am` for each repository.")
@click.option("--clones", metavar="DIR", help="With --branch and URLs: where the clones with the commits are kept.")
@click.option("--base", "base_branch", metavar="NAME", help="Harden this branch.  [default: HEAD]")
@click.option("--author", metavar="'NAME <MAIL>'", help="Who commits.  [default: as git is configured for you]")
@click.option("--include", multiple=True, metavar="GLOB", help="Only repositories whose name or address fits.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No repositories whose name or address fits.")
@click.option("--state", metavar="FILE", help=f"Where the run keeps what became of everything.  [default: {STATE}]")
@click.option("--resume", is_flag=True, help="Go on with the state of an earlier run, with its options.")
@click.option("--retry-failed", is_flag=True, help="With --resume: try those that failed once more.")
@click.option("--jobs", "-j", type=click.IntRange(1, 512), help="Processes at once.  [default: one a processor]")
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask cluster of this scheduler (tcp://host:8786).")
@click.option(
    "--time-limit", type=click.FloatRange(1), default=300.0, show_default=True, help="Seconds for one repository."
)
@click.option(
    "--memory-limit", type=click.IntRange(256), default=2048, show_default=True, help="Megabytes for one process."
)
@click.option("--report", "reports", multiple=True, metavar="FILE", help="Write a report: .html, .md, .json or .csv.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(sources: tuple[str, ...], **options: Any) -> None:
    """Harden many repositories: folders, files of URLs (one a line), and clone URLs.

    A folder that is no repository means those below it.  Each repository is read safely (nothing in it is run), and
    changed by --in-place, by a commit on a --branch, or by a file in --patches.  What became of each is kept in a
    state file, from which --resume goes on.
    """
    from hardener.repos.executors import ExecutorError  # noqa: PLC0415  --help needs none of it
    from hardener.repos.journal import JournalError  # noqa: PLC0415
    from hardener.repos.run import Stopped  # noqa: PLC0415
    from hardener.repos.sources import SourceError  # noqa: PLC0415
    from hardener.repos.writer import WriteError  # noqa: PLC0415

    try:
        failures = run(sources, options)
    except (ExecutorError, JournalError, SourceError, WriteError) as error:
        terminal.say(f"error: {error}")
        sys.exit(2)
    except Stopped as error:
        terminal.say(f"error: the run stopped: {error}; make room, then go on with `harden repos --resume`")
        sys.exit(2)
    except KeyboardInterrupt:
        terminal.say("interrupted; go on with `harden repos --resume`")
        sys.exit(130)
    sys.exit(1 if failures else 0)


def run(words: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run over the sources and return how many failed; raises the errors that `command` tells."""
    from hardener.repos import executors, scraps, sources  # noqa: PLC0415
    from hardener.repos.journal import Journal, JournalError  # noqa: PLC0415
    from hardener.repos.progress import Progress  # noqa: PLC0415
    from hardener.repos.run import Run  # noqa: PLC0415

    file = None if options["dry_run"] and not options["state"] else Path(options["state"] or STATE)
    if not words and not options["resume"]:
        raise click.UsageError("name folders, files of URLs or clone URLs, or go on with --resume")
    if file is not None and file.exists() and not options["resume"]:
        raise JournalError(f"{file} is there from an earlier run; go on with --resume, or name another --state")
    if options["resume"] and (file is None or not file.exists()):
        raise JournalError(f"{file or STATE}: there is no such state to go on with")
    scraps.sweep()
    with ExitStack() as stack:
        listed = list(sources.chosen(sources.expand(words), options["include"], options["exclude"]))
        journal = stack.enter_context(closing(Journal(file)))
        if options["resume"]:
            options = resumed(journal, options)
        chosen = mode(options)
        started = journal.start_run(kept(options))
        writer = writer_of(chosen, options, int(started))
        check_sources(chosen, options, listed)
        total = journal.add(listed)
        if options["retry_failed"]:
            journal.again("failed")
        counts = journal.counts()
        progress = Progress(total, total - counts.get("pending", 0), quiet=options["quiet"])
        workers = stack.enter_context(
            executors.cluster(options["scheduler"])
            if options["scheduler"]
            else executors.local_workers(options["jobs"])
        )
        template = task_of(chosen, options)

        def done(plan: Plan, applied: Applied) -> None:
            progress.add(plan)
            tell(plan, applied, progress, show_diff=options["dry_run"], quiet=options["quiet"])

        driver = Run(journal, writer, workers, lambda source: replace(template, source=source), done, progress.tick)
        try:
            driver.all()
        except BaseException as error:
            progress.clear()
            journal.end_run(type(error).__name__)
            raise
        journal.end_run()
        progress.clear()
        if not options["quiet"]:
            terminal.say(progress.summary())
        write_reports(journal, options["reports"])
        return journal.counts().get("failed", 0)


def mode(options: dict[str, Any]) -> str:
    """Return what is done with plans; raises ``click.UsageError`` where the options do not fit."""
    named = {"in-place": options["in_place"], "branch": options["branch"], "patches": options["patches"]}
    asked = [name for name, value in named.items() if value]
    if len(asked) > 1:
        raise click.UsageError(f"choose one of --{' and --'.join(asked)}")
    if not asked and not options["dry_run"]:
        raise click.UsageError("say what to do: --dry-run, --in-place, --branch NAME or --patches DIR")
    if options["allow_dirty"] and not options["in_place"]:
        raise click.UsageError("--allow-dirty belongs to --in-place")
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


def writer_of(chosen: str, options: dict[str, Any], when: int) -> Writer:
    """Return the writer; raises ``WriteError`` where it could not write."""
    from hardener.repos.commit import BranchError, user_identity  # noqa: PLC0415
    from hardener.repos.scraps import sweep  # noqa: PLC0415
    from hardener.repos.writer import WriteError, Writer  # noqa: PLC0415

    if options["dry_run"] or chosen in ("show", "in-place"):
        return Writer("show" if options["dry_run"] else chosen)
    try:
        identity = user_identity(when, options["author"] or "")
    except BranchError as error:
        raise WriteError(str(error)) from error
    folders = {name: Path(options[name]) for name in ("patches", "clones") if options[name]}
    for folder in folders.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be made: {error.strerror}") from error
        sweep(folder)
    return Writer(chosen, identity, options["branch"] or "", folders.get("patches"), folders.get("clones"))


def check_sources(chosen: str, options: dict[str, Any], listed: list[Any]) -> None:
    """Raise ``click.UsageError`` for repositories of which nothing would be left."""
    remote = next((one for one in listed if not one.is_local), None)
    if remote is None:
        return
    if chosen == "in-place":
        raise click.UsageError(f"--in-place needs folders of this machine, and {remote.key} is none; use --patches")
    if chosen == "branch" and not (options["clones"] or options["dry_run"]):
        raise click.UsageError(
            f"--branch would commit in a clone of {remote.key} that is thrown away; give --clones DIR, or use --patches"
        )


def task_of(chosen: str, options: dict[str, Any]) -> Task:
    """Return the task that every repository gets, but for its source."""
    from hardener.repos.plan import with_overrides  # noqa: PLC0415
    from hardener.repos.sources import Source  # noqa: PLC0415
    from hardener.repos.values import Limits, Task  # noqa: PLC0415
    from hardener.settings import ConfigurationError  # noqa: PLC0415

    try:
        overrides = cli.overrides_from({name: options[name] for name in HARDENING})
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    return Task(
        Source("", "", is_local=True),
        from_work_tree=chosen == "in-place",
        allow_dirty=options["allow_dirty"],
        branch=options["base_branch"] or "",
        overrides=with_overrides(overrides),
        limits=Limits(options["time_limit"], options["memory_limit"]),
    )


# What a later run takes over from the state, unless it says otherwise; the rest is about the process, not the work.
KEPT = (
    "dry_run", "in_place", "allow_dirty", "branch", "patches", "clones", "base_branch", "author", "time_limit",
    "memory_limit", *sorted(HARDENING),
)  # fmt: skip


def kept(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the state keeps."""
    return {name: options[name] for name in KEPT}


def resumed(journal: Journal, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the earlier run, with those that are given now in their place."""
    context = click.get_current_context()
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    before = journal.last_options() or {}
    return {**options, **before, **given}


def tell(plan: Plan, applied: Applied, progress: Progress, *, show_diff: bool, quiet: bool) -> None:
    """Say in one line what became of a repository, and show its diff in a dry run."""
    from hardener.repos.values import Kind  # noqa: PLC0415

    progress.clear()
    if show_diff:
        terminal.output(terminal.coloured(diff(plan)))
    if quiet and plan.kind is not Kind.FAILED:
        return
    where = f" ({applied.commit[:12]} on {applied.branch})" if applied.commit else ""
    where = f" ({applied.patch})" if applied.patch else where
    terminal.say(f"{plan.kind.value + ':':10} {plan.source.key}: {plan.reason}{where}")


def diff(plan: Plan) -> bytes:
    """Return the changes of a plan as one diff, with a line above that names the repository."""
    from hardener.report import file_diff  # noqa: PLC0415

    if not plan.files:
        return b""
    head = f"# {plan.source.key}\n".encode("utf-8", "surrogateescape")
    return head + b"".join(file_diff(one.path, one.before, one.after) for one in plan.files)


def write_reports(journal: Journal, files: tuple[str, ...]) -> None:
    """Write the reports that were asked for."""
    from hardener.repos.reading import form_of, write  # noqa: PLC0415
    from hardener.repos.summary import summary  # noqa: PLC0415

    if files:
        found = summary(journal)
        for file in files:
            write(found, form_of(None, file), file)
