"""One call of ``harden repos``: from its words and options to the run, its lines and its reports."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener import cli, terminal
from hardener.repos import executors, queries, scraps, sources
from hardener.repos.commit import BranchError, user_identity
from hardener.repos.journal import Journal, JournalError
from hardener.repos.options import HARDENING, OWN_BRANCH, STATE, kept, mode, proposing, resumed
from hardener.repos.plan import with_overrides
from hardener.repos.progress import Progress
from hardener.repos.run import Run
from hardener.repos.sources import Source
from hardener.repos.stops import WriteError
from hardener.repos.telling import rest, tell, write_reports
from hardener.repos.values import Limits, Task
from hardener.repos.writer import Writer
from hardener.settings import ConfigurationError

if TYPE_CHECKING:
    from hardener.bot.forge import Forge
    from hardener.repos.journal import Applied
    from hardener.repos.proposing import Forges, Proposer
    from hardener.repos.values import Plan


def run(words: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run over the sources and return how many failed; raises the errors that `command` tells."""
    file = None if options["dry_run"] and not options["state"] else Path(options["state"] or STATE)
    if not words and not options["resume"]:
        raise click.UsageError("name folders, files of URLs, clone URLs or queries, or go on with --resume")
    if file is not None and file.exists() and not options["resume"]:
        raise JournalError(f"{file} is there from an earlier run; go on with --resume, or name another --state")
    if options["resume"] and (file is None or not file.exists()):
        raise JournalError(f"{file or STATE}: there is no such state to go on with")
    scraps.sweep()
    with ExitStack() as stack:
        # A state that is there says how to list; a new one is made only after everything was listed.
        journal = stack.enter_context(closing(Journal(file))) if options["resume"] else None
        if journal is not None:
            options = resumed(journal, options)
        chosen = mode(options)
        listed, forges = listing(words, chosen, options)
        check_sources(chosen, options, listed)
        journal = journal or stack.enter_context(closing(Journal(file)))
        started = journal.start_run(kept(options))
        writer = writer_of(chosen, options, int(started), forges, journal)
        total = journal.add(listed)
        if options["retry_failed"] or options["refresh"]:
            journal.again(None if options["refresh"] else "failed")
        counts = journal.counts()
        progress = Progress(total, total - counts.get("pending", 0), quiet=options["quiet"])
        if writer.proposer is not None:
            writer.proposer.tick = progress.tick
        workers = stack.enter_context(
            executors.cluster(options["scheduler"])
            if options["scheduler"]
            else executors.local_workers(options["jobs"])
        )
        template = task_of(chosen, options, writer)

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
        journal.end_run(f"the limit of {writer.full} is reached" if writer.full else "")
        progress.clear()
        if not options["quiet"]:
            terminal.say(progress.summary())
        if writer.proposer is not None and writer.full:
            terminal.say(rest(journal, writer.proposer))
        write_reports(journal, options["reports"])
        return journal.counts().get("failed", 0)


def listing(words: tuple[str, ...], chosen: str, options: dict[str, Any]) -> tuple[list[Source], Forges | None]:
    """Return the repositories that the words mean, and for pull requests the forges; raises ``SourceError``."""

    def connect(web: str, kind: str) -> Forge:
        from hardener.bot.access import kept_forge  # noqa: PLC0415

        return kept_forge(web, kind, options["api_url"] or "")

    def say(line: str) -> None:
        if not options["quiet"]:
            terminal.say(line)

    asked = queries.Queries(queries.filters_of(options), say, connect)
    found = list(sources.chosen(sources.expand(words, asked.listings()), options["include"], options["exclude"]))
    if chosen != "pull-requests":
        return found, None
    from hardener.repos.proposing import Forges  # noqa: PLC0415

    forges = Forges(options["forge"] or "", options["api_url"] or "", frozenset(asked.hosts))
    return list(forges.each(found)), forges


def writer_of(chosen: str, options: dict[str, Any], when: int, forges: Forges | None, journal: Journal) -> Writer:
    """Return the writer; raises ``WriteError`` where it could not write."""
    if chosen in ("show", "in-place") or (options["dry_run"] and forges is None):
        return Writer("show" if options["dry_run"] else chosen)
    try:
        identity = user_identity(when, options["author"] or "")
    except BranchError as error:
        raise WriteError(str(error)) from error
    if forges is not None:
        return Writer(chosen, identity, proposer=proposer_of(options, forges, journal))
    folders = {name: Path(options[name]) for name in ("patches", "clones") if options[name]}
    for folder in folders.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be made: {error.strerror}") from error
        scraps.sweep(folder)
    return Writer(chosen, identity, options["branch"] or "", folders.get("patches"), folders.get("clones"))


def proposer_of(options: dict[str, Any], forges: Forges, journal: Journal) -> Proposer:
    """Return what opens the pull requests."""
    import logging  # noqa: PLC0415

    from hardener.repos.budget import Budget  # noqa: PLC0415
    from hardener.repos.proposing import Proposer  # noqa: PLC0415

    logging.basicConfig(format="%(message)s", level=logging.ERROR if options["quiet"] else logging.WARNING)
    asked = {**proposing(options), "branch": options["branch"] or OWN_BRANCH, "overrides": overrides_of(options)}
    limits = (None, None) if options["dry_run"] else (options["max_open"], options["per_hour"])
    return Proposer(
        asked,
        forges,
        Budget(journal, asked["branch"], *limits),
        dry_run=options["dry_run"],
        waits=options["wait"],
    )


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


def task_of(chosen: str, options: dict[str, Any], writer: Writer) -> Task:
    """Return the task that every repository gets, but for its source."""
    proposes = chosen == "pull-requests"
    return Task(
        Source("", "", is_local=True),
        from_work_tree=chosen == "in-place",
        allow_dirty=options["allow_dirty"],
        branch=options["base_branch"] or "",
        overrides=overrides_of(options),
        limits=Limits(options["time_limit"], options["memory_limit"]),
        skip_aside=proposes and not options["everywhere"],
        asks_first=proposes,
        own_branch=(options["branch"] or OWN_BRANCH) if proposes else "",
        api_url=options["api_url"] or "",
        identity=writer.identity if chosen == "patches" else None,
    )


def overrides_of(options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the settings that the options decide; raises ``click.UsageError``."""
    try:
        return with_overrides(cli.overrides_from({name: options[name] for name in HARDENING}))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
