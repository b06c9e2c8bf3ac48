"""``harden repos``: reads the options, starts the run, and says what became of each repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hardener import terminal
from hardener.bot.command import command as pull_request_command
from hardener.repos.options import STATE, hardening_options

if TYPE_CHECKING:
    from collections.abc import Sequence


EXAMPLES = """\b
Examples:
  harden repos ~/src --dry-run                        show every change below a folder of repositories
  harden repos urls.txt --patches patches             a patch for `git am` from each repository of a list
  harden repos ~/src --branch harden/non-root         a commit in each, on a branch of its own
  harden repos github:acme --topic web --pr           a pull request for each, and those that are there kept current
  harden repos github:acme --pr --dry-run             title, text and diff of each; nothing is pushed
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


def pull_request_options(found: click.Command) -> click.Command:
    """Add the options of `harden pr` that are about pull requests, but for those that are here already."""
    own = {one.name for one in found.params} | {"source", "verified"}  # whose report is of one repository
    found.params += [one for one in pull_request_command.params if one.name not in own]
    return found


@pull_request_options
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
@click.option("--pr", "pull_requests", is_flag=True, help="Open a pull request for each, and keep it current.")
@click.option("--wait", is_flag=True, help="With --pr: wait where --per-hour or the forge says so, and go on then.")
@click.option("--clones", metavar="DIR", help="With --branch and URLs: where the clones with the commits are kept.")
@click.option("--base", "base_branch", metavar="NAME", help="Harden this branch.  [default: HEAD]")
@click.option("--author", metavar="'NAME <MAIL>'", help="Who commits.  [default: as git is configured for you]")
@click.option("--include", multiple=True, metavar="GLOB", help="Only repositories whose name or address fits.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No repositories whose name or address fits.")
@click.option("--topic", "topics", multiple=True, metavar="NAME", help="Of a query: only repositories of this topic.")
@click.option("--language", "languages", multiple=True, metavar="NAME", help="Of a query: only those mostly in it.")
@click.option("--pushed-since", metavar="DATE", help="Of a query: only those pushed since 2026-01-31, or for 90d.")
@click.option("--archived", is_flag=True, help="Of a query: archived repositories too.")
@click.option("--forks", is_flag=True, help="Of a query: forks too.")
@click.option("--state", metavar="FILE", help=f"Where the run keeps what became of everything.  [default: {STATE}]")
@click.option("--resume", is_flag=True, help="Go on with the state of an earlier run, with its options.")
@click.option("--retry-failed", is_flag=True, help="With --resume: try those that failed once more.")
@click.option("--refresh", is_flag=True, help="With --resume: look at every repository again, also those done.")
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
    """Harden many repositories: folders, files of URLs (one a line), clone URLs, and what a forge says that there is.

    A folder that is no repository means those below it.  github:OWNER, gitlab:GROUP and gitea:HOST/OWNER mean what an
    organisation, a group or a person has there (github:HOST/OWNER on a server of one's own).  Each repository is read
    safely (nothing in it is run), and changed by --in-place, by a commit on a --branch, by a file in --patches, or by
    a pull request with --pr.  What became of each is kept in a state file, from which --resume goes on.
    """
    from hardener.repos.executors import ExecutorError  # noqa: PLC0415  --help needs none of it
    from hardener.repos.journal import JournalError  # noqa: PLC0415
    from hardener.repos.session import run  # noqa: PLC0415
    from hardener.repos.sources import SourceError  # noqa: PLC0415
    from hardener.repos.stops import Stopped, WriteError  # noqa: PLC0415

    try:
        failures = run(sources, options)
    except (ExecutorError, JournalError, SourceError, WriteError) as error:
        terminal.say(f"error: {error}")
        sys.exit(2)
    except Stopped as error:
        terminal.say(f"error: the run stopped: {error}; then go on with `harden repos --resume`")
        sys.exit(2)
    except KeyboardInterrupt:
        terminal.say("interrupted; go on with `harden repos --resume`")
        sys.exit(130)
    sys.exit(1 if failures else 0)
