"""What a run says while it goes, and at its end: lines on standard error, diffs on standard output, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import terminal
from hardener.report import file_diff
from hardener.repos.progress import duration
from hardener.repos.values import Kind

if TYPE_CHECKING:
    from hardener.repos.journal import Applied, Journal
    from hardener.repos.progress import Progress
    from hardener.repos.proposing import Proposer
    from hardener.repos.values import Plan


def rest(journal: Journal, proposer: Proposer) -> str:
    """Return the line that says which limit ended the run, and when the next one may go on."""
    left = journal.counts().get("pending", 0)
    when = f" in {duration(proposer.budget.wait())}" if proposer.full == "--per-hour" else " when some are merged"
    return (
        f"the limit of {proposer.full} {proposer.options[proposer.full[2:].replace('-', '_')]} is reached: "
        f"{left} repositories wait; go on with `harden repos --resume`{when}"
    )


def tell(plan: Plan, applied: Applied, progress: Progress, *, show_diff: bool, quiet: bool) -> None:
    """Say in one line what became of a repository, and show its diff in a dry run."""
    progress.clear()
    pull = applied.pull
    if show_diff:
        preview = f"# {plan.source.key}\n{pull.preview}\n".encode("utf-8", "surrogateescape") if pull else diff(plan)
        terminal.output(terminal.coloured(preview if pull is None or pull.preview else b""))
    if quiet and plan.kind is not Kind.FAILED:
        return
    where = f" ({applied.commit[:12]} on {applied.branch})" if applied.commit else ""
    where = f" ({applied.patch})" if applied.patch else where
    if pull is not None:
        where = f" [{pull.outcome}: {pull.url or pull.reason}]"
    terminal.say(f"{plan.kind.value + ':':10} {plan.source.key}: {plan.reason}{where}")
    for note in (*plan.notes, *(pull.notes if pull else ())):
        terminal.say(f"{'':10} {plan.source.key}: {note}")


def diff(plan: Plan) -> bytes:
    """Return the changes of a plan as one diff, with a line above that names the repository."""
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
