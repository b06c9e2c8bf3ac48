"""One repository, from its URL to its pull request: fetched, hardened, proposed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener.bot import branch as branches
from hardener.bot import conventions as habits
from hardener.bot import verification
from hardener.bot.access import connect, signed_in
from hardener.bot.decision import Policy, Step
from hardener.bot.forge import ForgeError, Wishes
from hardener.bot.proof import kept
from hardener.bot.steps import Job, Outcome, look_at, reconcile
from hardener.repos import clone
from hardener.repos.commit import BranchError, user_identity
from hardener.repos.git import GitError
from hardener.repos.local import UnsafeRepositoryError, open_repository, remote_url
from hardener.repos.plan import plan_of_tree
from hardener.repos.sources import SourceError, remote
from hardener.repos.values import Kind, Plan, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardener.bot.forge import Forge, Repository
    from hardener.bot.proof import Proof
    from hardener.repos.sources import Source

FORK_SECONDS = 120.0
CLONE_SECONDS = 600.0


class Skipped(Exception):  # noqa: N818  an outcome, not a fault
    """There is nothing to do for this repository, and nothing to look for; the message says why."""


def source_of(text: str) -> Source:
    """Return the remote repository that a URL or a folder names; raises ``ForgeError``."""
    try:
        if "://" in text or not Path(text).is_dir():
            return remote(text)
        found = remote_url(open_repository(Path(text).absolute()))
    except (SourceError, UnsafeRepositoryError) as error:
        raise ForgeError(str(error)) from error
    if not found:
        raise ForgeError("this repository has no remote, so there is no forge to open a pull request on")
    return remote(found)


class BrokenChange(Exception):  # noqa: N818  an outcome, not a fault
    """``harden verify`` found an image worse than before; ``lines`` say what."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Take one line for each thing that broke."""
        super().__init__(f"nothing was proposed: {lines[0]}")
        self.lines = tuple(lines)


@contextmanager
def prepared(text: str, folder: Path, options: Mapping[str, Any]) -> Iterator[Job]:
    """Yield the job for one repository: fetched into ``folder``, hardened, its conventions read.

    ``options`` are those of the command.  Raises ``Skipped``, ``BrokenChange``, ``ForgeError`` and ``GitError``.
    """
    source = source_of(text)
    forge, path = connect(source.location, options["forge"] or "", options["api_url"] or "")
    repository = forge.repository(path)
    if repository.is_archived:
        raise Skipped("it is archived")
    # The forge's own address: GitLab answers one without `.git` with a redirect.  Who named one for SSH has a reason.
    is_web = source.location.startswith(("http://", "https://"))
    url = repository.clone_url if is_web else source.location
    with signed_in(repository.clone_url, *forge.credentials(repository)):
        git_dir = folder / "git"
        git_dir.mkdir()
        found = fetched(url, git_dir, options["base_branch"] or "")
        if found is None:
            raise Skipped("it has no commit yet")
        task = Task(source, skip_aside=not options["everywhere"], asks_first=True, overrides=options["overrides"])
        made = plan_of_tree(task, git_dir, found.entries, folder / "files", source.location)
        plan = Plan(**{**made.__dict__, "commit": found.commit, "branch": found.branch})
        if plan.kind is Kind.FAILED and not plan.images:
            raise ForgeError(plan.reason)
        job = job_of(forge, repository, url, git_dir, plan, options)
        job.proof = proof_for(job, url, folder / "whole", options)
        yield job


def proof_for(job: Job, url: str, folder: Path, options: Mapping[str, Any]) -> Proof | None:
    """Return what was verified of a change: a report's word, or that of a run in ``folder`` where one is wished for.

    Raises ``BrokenChange`` where an image is worse than before: that is never proposed.
    """
    proof = None
    if job.plan.files and options.get("verified"):
        proof = verification.from_report(Path(options["verified"]), job.plan)
    elif job.plan.files and options.get("verify") and wants_proof(job):
        proof = verification.from_engine(job.git_dir, url, job.plan, folder, dict(options["overrides"]))
    if proof is not None and proof.broken:
        raise BrokenChange(proof.broken)
    return proof


def wants_proof(job: Job) -> bool:
    """Whether something would be proposed, or stands there unverified: builds take too long for anything else."""
    _, _, decision = look_at(job)
    is_shown = decision.outcome in ("current", "updated") and not kept(job.current, job.fingerprint)
    return is_shown or Step.PUSH in decision.steps or Step.CREATE in decision.steps


def fetched(url: str, git_dir: Path, name: str) -> clone.Clone | None:
    """Return the tip of a branch, fetched again where the connection failed; raises ``GitError``."""
    for attempt in range(1, branches.TRIES + 1):
        try:
            return clone.fetch(url, git_dir, CLONE_SECONDS, name)
        except GitError as error:  # noqa: PERF203
            if not error.transient or attempt == branches.TRIES:
                raise
            time.sleep(branches.BACKOFF * 2 ** (attempt - 1))
    raise AssertionError


def job_of(
    forge: Forge, repository: Repository, url: str, git_dir: Path, plan: Plan, options: Mapping[str, Any]
) -> Job:
    """Return the job for a plan whose commit is in ``git_dir``; a fork is made where it is needed and not there."""
    target, push_url = repository, url
    if options["fork"] == "always" or (options["fork"] == "auto" and not repository.can_push):
        fork = forge.fork(repository, make=bool(plan.files) and not options["dry_run"])
        if fork is not None:
            target, push_url = fork, fork.clone_url
            branches.wait_for(git_dir, push_url, FORK_SECONDS)
        elif not plan.files:
            raise Skipped("nothing to do")
    read = branches.reader(git_dir, url, plan.commit, habits.FILES)
    wants = habits.conventions(read, branches.history(git_dir, url, plan.commit) if plan.files else [])
    if options["sign_off"] is not None:
        wants = wants._replace(sign_off=options["sign_off"])
    try:
        identity = user_identity(int(time.time()), options["author"] or "")
    except BranchError as error:
        raise ForgeError(str(error)) from error
    return Job(
        forge=forge,
        repository=repository,
        target=target,
        push_url=push_url,
        git_dir=git_dir,
        plan=plan,
        base=options["base_branch"] or plan.branch or repository.default_branch,
        name=options["branch"],
        conventions=wants,
        identity=identity,
        policy=Policy(options["rebase"], reopen=options["reopen"]),
        wishes=Wishes(options["draft"], options["labels"], options["reviewers"], options["assignees"]),
        asked_by=options["asked_by"],
        given_title=options["title"],
        by_api=options["by_api"],
        max_open=options.get("max_open"),
        per_hour=options.get("per_hour"),
    )


def publish(job: Job, *, dry_run: bool = False) -> Outcome:
    """Bring the pull request up to date, or say what would be done."""
    if not dry_run:
        return reconcile(job)
    _, pulls, decision = look_at(job)
    steps = ", ".join(step.value for step in decision.steps) or "nothing"
    current = next((one for one in pulls if one.state == "open"), None)
    return Outcome(f"would be {decision.outcome}", f"{decision.reason}; steps: {steps}", current.url if current else "")
