"""Pull requests of many repositories, one after the other: the writer of ``harden repos --pr``.

Everything about one of them is `hardener.bot`'s business.  Here is what is about many: which forge a repository is on,
whether its host may get a secret, the limits, and when the run has to stop.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hardener.bot import branch as branches
from hardener.bot import one as bot
from hardener.bot.access import is_known, kept_forge, kind_of, place_of, signed_in
from hardener.bot.forge import ForgeError, RateLimitError
from hardener.repos.git import GitError, scrubbed
from hardener.repos.scraps import scrap_folder
from hardener.repos.shadow import new_git_directory
from hardener.repos.sources import SourceError, host_of
from hardener.repos.stops import Stopped, WriteError
from hardener.repos.values import Kind, Pull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from hardener.bot.forge import Forge, Repository
    from hardener.bot.steps import Job, Outcome
    from hardener.repos.budget import Budget
    from hardener.repos.sources import Source
    from hardener.repos.values import Plan

UNAUTHORIZED = 401
NAP_SECONDS = 1.0
NOTHING = "unchanged"
STATES = {"opened": "open", "updated": "open", "current": "open", "held": "open", "closed": "closed"}


@dataclass(frozen=True)
class Forges:
    """Which kind of forge hosts are, and which of them may get a secret of the environment.

    ``named`` are the hosts that the user named.  A remote of a folder is whatever the folder says, so its host gets
    nothing unless it is one of the public forges, or named as well.
    """

    kind: str = ""
    api_url: str = ""
    named: frozenset[str] = frozenset()

    def of(self, source: Source) -> Source:
        """Return the remote repository that a source stands for, with its forge; raises ``ForgeError``."""
        found = bot.source_of(source.location) if source.is_local else source
        web, _ = place_of(found.location)
        host = urlsplit(web).hostname or ""
        if source.is_local and not (is_known(host) or host in self.named or host == urlsplit(self.api_url).hostname):
            raise ForgeError(f"its remote leads to {host}, which nobody named: list its URL, or give --api-url")
        kind = found.forge or kind_of(host) or self.kind
        if not kind:
            raise ForgeError(f"{host} does not tell which forge it is; say so with --forge")
        return replace(found, forge=kind, team=source.team)

    def each(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Yield the repositories that sources stand for, each once; one that is on no forge stays, and fails later."""
        sources = list(sources)
        known = replace(self, named=self.named | {host_of(one.location) for one in sources if not one.is_local})
        seen: set[tuple[str, str]] = set()
        for source in sources:
            try:
                found = known.of(source)
                web, path = place_of(found.location)
                place = (urlsplit(web).netloc.lower(), path.lower())
            except (ForgeError, SourceError):
                found, place = source, ("", source.key)
            if place not in seen:
                seen.add(place)
                yield found


@dataclass
class Proposer:
    """Brings pull requests up to date.

    ``options`` are those of ``harden pr``, and ``overrides`` of the settings.  ``tick`` is called while it waits;
    ``full`` says which limit is reached.
    """

    options: Mapping[str, Any]
    forges: Forges
    budget: Budget
    dry_run: bool = False
    waits: bool = False
    tick: Callable[[], None] = lambda: None
    full: str = ""

    def propose(self, plan: Plan) -> Pull | None:
        """Bring one repository's pull request up to date; ``None`` where there is nothing to say about one.

        Raises ``WriteError`` where that failed, and ``Stopped`` where it would fail for all others too.
        """
        if plan.kind is Kind.FAILED:
            return None
        while True:
            try:
                return self.proposed(plan)
            except RateLimitError as error:  # noqa: PERF203
                if not self.waits:
                    raise Stopped(str(error)) from error
                self.nap(error.seconds)
            except bot.Skipped as error:
                return Pull("skipped", str(error))
            except ForgeError as error:
                if error.status == UNAUTHORIZED:
                    raise Stopped(scrubbed(f"{plan.source.key}: {error}: is the token the right one?")) from error
                raise WriteError(scrubbed(str(error))) from error
            except (GitError, SourceError, bot.BrokenChange) as error:
                raise WriteError(scrubbed(str(error))) from error

    def proposed(self, plan: Plan) -> Pull | None:
        """Do what `propose` does, raising whatever its parts raise."""
        source = self.forges.of(plan.source)
        if not (plan.dockerfiles or plan.declined or plan.has_branch):
            return None  # and no pull request from a time when there was more to do
        web, path = place_of(source.location)
        forge = kept_forge(web, source.forge, self.forges.api_url)
        repository = forge.repository(path)
        if repository.is_archived:
            raise bot.Skipped("it is archived")
        self.budget.look(forge, repository)
        with ExitStack() as stack:
            stack.enter_context(signed_in(repository.clone_url, *forge.credentials(repository)))
            folder = scrap_folder()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            # The forge's own address, where it stays on its host: GitLab answers one without `.git` with a redirect.
            url = repository.clone_url if repository.clone_url.startswith(f"{web}/") else source.location
            return self.published(self.job(forge, repository, plan, url, folder))

    def job(self, forge: Forge, repository: Repository, plan: Plan, url: str, folder: Path) -> Job:
        """Return the bot's job for a plan; its commit, and what is built where one wishes that, are in ``folder``."""
        git_dir = folder / "git"
        git_dir.mkdir()
        new_git_directory(git_dir, "sha256" if len(plan.commit) == 64 else "sha1")
        branches.fetch_commit(git_dir, url, plan.commit)
        # The forge's own count would be asked for each one, and lags behind: `budget` counts instead.
        options = {**self.options, "max_open": None, "per_hour": None, "dry_run": self.dry_run}
        job = bot.job_of(forge, repository, url, git_dir, plan, options)
        job.proof = bot.proof_for(job, url, folder / "whole", options)
        return job

    def published(self, job: Job) -> Pull | None:
        """Publish a job within the limits."""
        if self.dry_run:
            from hardener.bot.command import preview  # noqa: PLC0415  it is the command's

            found = pull_of(job, bot.publish(job, dry_run=True))
            return found._replace(preview=preview(job)) if found and job.plan.files else found
        while True:
            open_left, hour_left = self.budget.left()
            job.policy = replace(job.policy, open_left=open_left, hour_left=hour_left)
            result = bot.publish(job)
            if result.outcome != "postponed":
                break
            if open_left is not None and open_left <= 0:
                self.full = "--max-open"
                return pull_of(job, result)
            if not self.waits:
                self.full = "--per-hour"
                return pull_of(job, result)
            self.nap(self.budget.wait())
        self.budget.change += {"opened": 1, "closed": -1}.get(result.outcome, 0)
        return pull_of(job, result)

    def nap(self, seconds: float) -> None:
        """Wait, and show that it does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(NAP_SECONDS, max(0.0, end - time.monotonic())))
            self.tick()


def pull_of(job: Job, result: Outcome) -> Pull | None:
    """Return what became of a pull request, ``None`` where there never was one; one that is not open is looked up."""
    state = STATES.get(result.outcome, "open" if result.url else "")
    found = Pull(result.outcome, result.reason, result.url, result.number, state, tuple(result.notes))
    if result.url:
        return found
    last = next(iter(job.forge.pull_requests(job.repository, job.head)), None)
    if last is not None:
        return found._replace(url=last.url, number=last.number, state=last.state)
    return found if found.outcome != NOTHING else None
