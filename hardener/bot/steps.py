"""Carries out what was decided, one visible step after the other, and looks again where something else was faster."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from hardener.bot import branch as branches
from hardener.bot import marker
from hardener.bot.body import Scene, body
from hardener.bot.branch import LostRaceError
from hardener.bot.decision import Step, Wanted, decide
from hardener.bot.forge import ForgeError, Head, NewCommit, Wishes
from hardener.bot.messages import title
from hardener.bot.proof import kept
from hardener.bot.template import filled
from hardener.report import file_diff
from hardener.repos.commit import make
from hardener.repos.message import message

if TYPE_CHECKING:
    from pathlib import Path

    from hardener.bot.conventions import Conventions
    from hardener.bot.decision import Branch, Decision, Policy
    from hardener.bot.forge import Forge, PullRequest, Repository
    from hardener.bot.proof import Proof
    from hardener.repos.commit import Identity
    from hardener.repos.values import Plan

LOOKS = 4
NOUNS = {"gitlab": "merge request"}
KEPT = (
    "There are commits on this branch that are not mine, so I leave it as it is from now on. To have it built anew, "
    "without those commits, tick the box in the description; to have it left alone for good, do nothing."
)
FAREWELL = "Nothing is left to do here: no image of the default branch would be changed any more. Closing this."
REFUSED = "The configuration says `pull-requests = false`, so I close this, and open no other while it says so."
REFUSAL = "its configuration says pull-requests = false"
HOUR = 3600.0


class Outcome(NamedTuple):
    """What became of a repository's pull request: one or two words, why, its address, and notes of one line each."""

    outcome: str
    reason: str
    url: str = ""
    number: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class Job:
    """Everything about one repository that does not change while its pull request is brought up to date.

    ``git_dir`` has the commit ``plan.commit``, the tip of ``base``; ``target`` is the repository that the branch
    ``name`` is pushed to, by ``push_url``.  ``commit`` and ``tree`` are what belongs on it, ``""`` for no change.
    """

    forge: Forge
    repository: Repository
    target: Repository
    push_url: str
    git_dir: Path
    plan: Plan
    base: str
    name: str
    conventions: Conventions
    identity: Identity
    policy: Policy
    wishes: Wishes = field(default_factory=Wishes)
    asked_by: str = ""
    proof: Proof | None = None
    given_title: str = ""
    max_open: int | None = None
    per_hour: int | None = None
    """How many pull requests the account may have open, and may open in an hour, everywhere on the forge."""
    by_api: bool = False
    """Whether the forge makes (and signs) the commit."""
    commit: str = ""
    tree: str = ""
    current: str = ""
    """The text of the open pull request."""

    @property
    def head(self) -> Head:
        """Where the pull request comes from."""
        return Head(self.target.path, self.name)

    @property
    def title(self) -> str:
        """The title of a new pull request, and the subject of the commit."""
        return self.given_title or title(self.plan, self.conventions)

    @property
    def message(self) -> str:
        """The message of the commit."""
        signed = [f"Signed-off-by: {self.identity.name} <{self.identity.email}>"] if self.conventions.sign_off else []
        return message(self.plan, signed, self.title)

    @property
    def fingerprint(self) -> str:
        """What tells this change from another one: its lines with their context, not where they stand."""
        diff = b"".join(file_diff(one.path, one.before, one.after) for one in self.plan.files)
        lines = (line for line in diff.split(b"\n") if not line.startswith(b"@@"))
        return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]

    @property
    def refusal(self) -> str:
        """Why nothing is proposed, where the repository's configuration wants no pull requests."""
        return REFUSAL if self.plan.declined and not self.plan.files else ""

    def limited(self) -> Policy:
        """Return the policy with what the limits leave, as the forge counts now."""
        policy = self.policy
        if self.max_open is not None:
            policy = replace(policy, open_left=self.max_open - self.forge.count(self.repository, self.name))
        if self.per_hour is not None:
            made = self.forge.count(self.repository, self.name, time.time() - HOUR)
            policy = replace(policy, hour_left=self.per_hour - made)
        return policy

    def part(self, commit: str, *, todo: str = "") -> str:
        """Return the bot's part of the text, with links into ``commit``."""

        def link(path: str, line: int) -> str:
            return self.forge.link(self.target, commit, path, line)

        noun = NOUNS.get(self.forge.kind, "pull request")
        scene = Scene(
            link,
            noun,
            self.conventions.owners,
            self.asked_by,
            self.proof,
            self.fingerprint,
            kept(self.current, self.fingerprint),
        )
        fields = {"fingerprint": self.fingerprint, "base": self.plan.commit, "todo": todo}
        return marker.wrapped(body(self.plan, scene), fields)


def reconcile(job: Job) -> Outcome:
    """Bring a repository's pull request up to date; raises ``ForgeError`` and ``GitError``.

    Where the branch or the pull request turns out to be another one than it was, all is looked at again.
    """
    for look in range(1, LOOKS + 1):
        branch, pulls, decision = look_at(job)
        current = next((one for one in pulls if one.state == "open"), None)
        try:
            return carry_out(job, decision, branch, current)
        except LostRaceError:
            if look == LOOKS:
                raise ForgeError("the branch changes all the time; run again later") from None
        except ForgeError:
            # A call that failed may have done its work, and another bot may have been faster.
            if Step.CREATE not in decision.steps or look == LOOKS:
                raise
            if not any(one.state == "open" for one in job.forge.pull_requests(job.repository, job.head)):
                raise
    raise AssertionError


def look_at(job: Job) -> tuple[Branch | None, tuple[PullRequest, ...], Decision]:
    """Return branch and pull requests as they are now, and what to do."""
    if job.plan.files and not job.commit:
        job.commit = make(job.git_dir, job.plan, job.message, job.identity)
        job.tree = branches.commit_at(job.git_dir, job.commit)[0]
    branch = branches.branch_at(job.git_dir, job.push_url, job.name)
    pulls = tuple(job.forge.pull_requests(job.repository, job.head))
    job.current = next((one.body for one in pulls if one.state == "open"), "")
    shown = branch.commit if branch is not None and branch.is_own else job.commit
    wanted = Wanted(
        parent=job.plan.commit,
        tree=job.tree,
        refusal=job.refusal,
        fingerprint=job.fingerprint,
        body=job.part(shown),
        base=job.base,
        asks=any((job.wishes.labels, job.wishes.reviewers, job.wishes.assignees)),
    )
    decision = decide(wanted, branch, pulls, job.policy)
    if Step.CREATE in decision.steps and (job.max_open, job.per_hour) != (None, None):
        decision = decide(wanted, branch, pulls, job.limited())
    return branch, pulls, decision


def carry_out(job: Job, decision: Decision, branch: Branch | None, current: PullRequest | None) -> Outcome:
    """Take the steps of a decision in their order."""
    commit = branch.commit if branch is not None else ""
    body_now = current.body if current is not None else ""
    url = current.url if current is not None else ""
    number = current.number if current is not None else 0
    notes: list[str] = []
    forge, repository = job.forge, job.repository
    for step in decision.steps:
        if step is Step.PUSH:
            new = published_commit(job)
            branches.push(job.git_dir, job.push_url, job.name, new, commit)
            commit = new
        elif step is Step.CREATE:
            todo = "request" if Step.REQUEST in decision.steps else ""
            part = job.part(commit, todo=todo)
            text = filled(job.conventions.template, part, signed_off=job.conventions.sign_off)
            made = forge.create(repository, job.head, job.base, job.title, text, job.wishes)
            url, number, body_now = made.url, made.number, made.body
        elif step is Step.REQUEST:
            notes += forge.request(repository, number, job.wishes)
        elif step is Step.EDIT:
            base = job.base if current is not None and current.base != job.base else ""
            text = marker.replaced(body_now, job.part(commit))
            forge.edit(repository, number, body="" if text == body_now else text, base=base)
        elif step is Step.EXPLAIN:
            forge.comment(repository, number, marker.note("kept"), KEPT)
        elif step is Step.FAREWELL:
            forge.edit(repository, number, body=marker.with_fields(body_now, state="done"))
            forge.comment(repository, number, marker.note("done"), REFUSED if job.refusal else FAREWELL)
        elif step is Step.CLOSE:
            forge.edit(repository, number, state="closed")
        elif step is Step.DELETE:
            branches.push(job.git_dir, job.push_url, job.name, "", commit)
    return Outcome(decision.outcome, decision.reason, url, number, tuple(notes))


def published_commit(job: Job) -> str:
    """Return the commit to push: the one that was made here, signed where git is set up so, or one of the forge's."""
    if not job.by_api:
        return branches.signed(job.git_dir, job.commit, job.message, job.identity)
    sign = getattr(job.forge, "commit", None)
    if sign is None:
        raise ForgeError(f"{job.forge.kind} makes no signed commits by its API")
    made = str(sign(job.target, NewCommit(job.plan.commit, job.tree, job.message, job.plan.files)))
    branches.fetch_commit(job.git_dir, job.push_url, made)
    return made
