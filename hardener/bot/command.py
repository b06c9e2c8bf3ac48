"""``harden pr``: one repository's pull request, opened or brought up to date."""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hardener.bot.template import filled
from hardener.cli import overrides_from
from hardener.report import file_diff
from hardener.repos.options import HARDENING, OWN_BRANCH, hardening_options
from hardener.repos.plan import with_overrides
from hardener.terminal import coloured, output, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hardener.bot.steps import Job

EPILOG = """\b
Examples:
  harden pr --dry-run                        title, text and diff for the repository of this folder; nothing is pushed
  harden pr                                  open its pull request, or bring it up to date
  harden pr https://gitlab.com/acme/shop     of a repository that is not here
  harden pr --draft --label security --reviewer ada

\b
Secrets come from the environment (HARDEN_TOKEN, GH_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN; for a GitHub App
HARDEN_APP_ID and HARDEN_APP_PRIVATE_KEY or HARDEN_APP_PRIVATE_KEY_FILE), else from git's credential helpers.
Exit codes: 0 done, nothing to do, or left alone for the reason that is said; 1 --verify found it broken; 2 it failed.
"""


def pull_request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that are about pull requests, for every command that makes them."""
    choice = click.Choice
    options = (
        click.option("--branch", default=OWN_BRANCH, show_default=True, metavar="NAME", help="Its branch."),
        click.option("--base", "base_branch", metavar="NAME", help="The branch to merge into.  [default: HEAD]"),
        click.option("--author", metavar="'NAME <MAIL>'", help="Who commits.  [default: as git is configured for you]"),
        click.option("--forge", type=choice(["github", "gitlab", "gitea"]), help="What the host is."),
        click.option("--api-url", metavar="URL", help="Address of the API, where it is not the usual one."),
        click.option(
            "--fork", type=choice(["auto", "always", "never"]), default="auto", show_default=True,
            help="Push to a fork: auto is where there is no right to push.",
        ),
        click.option("--draft", is_flag=True, help="Open it as a draft."),
        click.option("--label", "labels", multiple=True, metavar="NAME", help="Set a label; may be given again."),
        click.option("--reviewer", "reviewers", multiple=True, metavar="NAME", help="Ask for a review; ORG/TEAM too."),
        click.option("--assignee", "assignees", multiple=True, metavar="NAME", help="Assign; may be given again."),
        click.option("--title", default="", metavar="TEXT", help="Title, in place of one in the repository's style."),
        click.option("--asked-by", default="", metavar="NAME", help="Who had it made, for the end of the text."),
        click.option("--signoff/--no-signoff", "sign_off", default=None, help="[default: where it is asked for]"),
        click.option("--api-commit", "by_api", is_flag=True, help="Let GitHub make the commit; it signs an App's."),
        click.option(
            "--rebase", type=choice(["moved", "conflicts"]), default="moved", show_default=True,
            help="Build the branch anew when its base moved, or only when that changes the change.",
        ),
        click.option("--reopen", is_flag=True, help="Ask again where people closed the last one."),
        click.option("--everywhere", is_flag=True, help="Take Dockerfiles of tests, examples and vendored code too."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@hardening_options
@click.command("pr", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EPILOG)
@click.argument("source", default=".", metavar="[SOURCE]")
@pull_request_options
@click.option("--dry-run", is_flag=True, help="Print title, text and diff; touch nothing.")
@click.option(
    "--verify",
    is_flag=True,
    help="Build and run it before and after first; what breaks is not proposed, what was seen stands in the text.",
)
@click.option(
    "--verified",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="The same, from `harden verify --json FILE`.",
)
@click.option(
    "--max-open",
    type=click.IntRange(0),
    metavar="N",
    help="Open none where this account has N open ones of this branch's name, anywhere on the forge.",
)
@click.option("--per-hour", type=click.IntRange(0), metavar="N", help="Open none where it opened N in the last hour.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(source: str, *, dry_run: bool, quiet: bool, **options: Any) -> None:
    """Open a pull request that lets a repository's images run as a non-root user, or bring it up to date.

    SOURCE is the repository's URL, or a folder whose remote `origin` names it (default: this one); what is not pushed
    yet does not count.  There is one pull request for each repository.  It is found again by its branch; commits of
    other people on it are never overwritten, and one that people closed is not opened again.
    """
    from hardener.bot.forge import ForgeError  # noqa: PLC0415  --help needs none of it
    from hardener.bot.one import BrokenChange, Skipped, prepared, publish  # noqa: PLC0415
    from hardener.bot.steps import Outcome  # noqa: PLC0415
    from hardener.repos.git import GitError, scrubbed  # noqa: PLC0415
    from hardener.settings import ConfigurationError  # noqa: PLC0415

    logging.basicConfig(format="%(message)s", level=logging.ERROR if quiet else logging.WARNING)
    try:
        overrides = overrides_from({name: options[name] for name in HARDENING})
        options |= {"dry_run": dry_run, "overrides": with_overrides(overrides)}
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    try:
        with scratch() as folder, prepared(source, folder, options) as job:
            if dry_run and job.plan.files:
                output(coloured(preview(job).encode("utf-8", "surrogateescape")))
            result = publish(job, dry_run=dry_run)
    except Skipped as error:
        result = Outcome("skipped", str(error))
    except BrokenChange as error:
        for line in error.lines:
            say(scrubbed(f"{source}: broken: {line}"))
        say(f"{source}: nothing was proposed; `harden verify --learn` finds out what it needs")
        sys.exit(1)
    except (ForgeError, GitError, OSError) as error:
        say(scrubbed(f"error: {source}: {error}"))
        sys.exit(2)
    for note in result.notes:
        say(scrubbed(f"{source}: {note}"))
    if not quiet:
        say(f"{source}: {result.outcome}: {result.reason}{f' ({result.url})' if result.url else ''}")


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder for a while; those of runs that were killed go first."""
    from hardener.repos import scraps  # noqa: PLC0415

    scraps.sweep()
    folder = scraps.scrap_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def preview(job: Job) -> str:
    """Return title, text and diff of what a run would propose."""
    diff = b"".join(file_diff(one.path, one.before, one.after) for one in job.plan.files)
    text = filled(job.conventions.template, job.part("HEAD"), signed_off=job.conventions.sign_off)
    return f"{job.title}\n\n{text}\n\n{diff.decode('utf-8', 'surrogateescape')}"
