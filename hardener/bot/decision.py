"""What to do next with one repository's pull request: a pure function of what is there and what should be there.

Nothing is remembered between runs.  A run that was cut off at any step leaves something that is looked at here again,
so the next run goes on from there; `hardener.bot.steps` only carries out what is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hardener.bot import marker

if TYPE_CHECKING:
    from hardener.bot.forge import PullRequest

HOLD = "stop-updating"
"""The label that stops the bot on one pull request; Renovate's default name for the same."""
REBASE = ("moved", "conflicts")


class Step(Enum):
    """One visible step; they are taken in the order in which a decision has them."""

    PUSH = "push the branch"
    CREATE = "open the pull request"
    REQUEST = "set labels, reviewers and assignees"
    EDIT = "update the text"
    EXPLAIN = "say in a comment that somebody's commits are kept"
    FAREWELL = "say in a comment that nothing is left to do"
    CLOSE = "close the pull request"
    DELETE = "delete the branch"


class Branch(NamedTuple):
    """The bot's branch as it is on the forge.

    ``is_own`` tells whether the commit at its tip is the bot's, as the bot left it; ``tree`` and ``parent`` are that
    commit's.
    """

    commit: str
    is_own: bool
    tree: str
    parent: str


@dataclass(frozen=True)
class Wanted:
    """What should be there: a commit with ``tree`` on ``parent``, and the text; ``tree`` is ``""`` for no change.

    ``refusal`` says why there is none where the repository's configuration wants no pull requests.
    ``fingerprint`` tells changes apart that are not the same lines, wherever these stand.  ``asks`` is whether labels,
    reviewers or assignees are wished for.
    """

    parent: str
    tree: str = ""
    refusal: str = ""
    fingerprint: str = ""
    body: str = ""
    base: str = ""
    asks: bool = False


@dataclass(frozen=True)
class Policy:
    """The choices that a run makes.

    ``open_left`` and ``hour_left`` say how many pull requests may still be opened, ``None`` without a limit.
    """

    rebase: str = "moved"
    reopen: bool = False
    open_left: int | None = None
    hour_left: int | None = None


class Decision(NamedTuple):
    """What to do: the outcome in one word or two, why, and the steps; without steps nothing is touched."""

    outcome: str
    reason: str
    steps: tuple[Step, ...] = ()


def decide(wanted: Wanted, branch: Branch | None, pulls: tuple[PullRequest, ...], policy: Policy) -> Decision:
    """Return what to do; ``pulls`` are all pull requests from the branch, the newest first."""
    current = next((one for one in pulls if one.state == "open"), None)
    if current is None:
        return without_pull_request(wanted, branch, pulls, policy)
    if HOLD in current.labels:
        return Decision("held", f"it has the label {HOLD}")
    if branch is not None and not branch.is_own and not marker.wants_rebuild(current.body):
        return Decision("left alone", "somebody's commits are on the branch", (Step.EXPLAIN,))
    if not wanted.tree:
        delete = (Step.DELETE,) if branch is not None else ()
        return Decision("closed", wanted.refusal or "nothing is left to do", (Step.FAREWELL, Step.CLOSE, *delete))
    if is_stale(wanted, branch, current, policy):
        return Decision("updated", "the branch was built anew", (Step.PUSH, *text_steps(wanted, current, pushed=True)))
    steps = text_steps(wanted, current, pushed=False)
    return Decision("updated", "the text was brought up to date", steps) if steps else Decision("current", "up to date")


def without_pull_request(
    wanted: Wanted, branch: Branch | None, pulls: tuple[PullRequest, ...], policy: Policy
) -> Decision:
    """Return what to do where no pull request is open."""
    if not wanted.tree:
        stale = (Step.DELETE,) if branch is not None and branch.is_own else ()
        return Decision("declined" if wanted.refusal else "unchanged", wanted.refusal or "nothing to do", stale)
    last = pulls[0] if pulls else None
    fields = (marker.fields_of(last.body) or {}) if last is not None else {}
    if last is not None and not policy.reopen:
        if last.state == "closed" and fields.get("state") != "done":
            return Decision("declined", f"people closed {last.url}; --reopen asks again")
        if last.state == "merged" and fields.get("fingerprint") == wanted.fingerprint:
            return Decision("reverted", f"the same change was merged and taken back: {last.url}; --reopen asks again")
    if branch is not None and not branch.is_own:
        return Decision("left alone", "the branch is there with somebody's commits")
    for left, name in ((policy.hour_left, "--per-hour"), (policy.open_left, "--max-open")):
        if left is not None and left <= 0:
            return Decision("postponed", f"the limit of {name} is reached")
    is_pushed = branch is not None and branch.tree == wanted.tree and branch.parent == wanted.parent
    steps: tuple[Step, ...] = (Step.CREATE,) if is_pushed else (Step.PUSH, Step.CREATE)
    # The text says what is still to be asked for until that was done.
    steps += (Step.REQUEST, Step.EDIT) if wanted.asks else ()
    return Decision("opened", "a pull request was opened", steps)


def is_stale(wanted: Wanted, branch: Branch | None, current: PullRequest, policy: Policy) -> bool:
    """Whether the branch has to be built anew: it has other changes, stands on an old base, or is to be replaced."""
    if branch is None or not branch.is_own or marker.wants_rebuild(current.body):
        return True
    if branch.parent == wanted.parent:
        return branch.tree != wanted.tree
    known = (marker.fields_of(current.body) or {}).get("fingerprint")
    return policy.rebase == "moved" or known != wanted.fingerprint


def text_steps(wanted: Wanted, current: PullRequest, *, pushed: bool) -> tuple[Step, ...]:
    """Return what text, base and people of an open pull request need; a title is people's once it is there.

    Where somebody took the marker out, the text is people's too.
    """
    fields = marker.fields_of(current.body)
    is_same = current.base == wanted.base
    if fields is None:
        return () if is_same else (Step.EDIT,)
    is_same = is_same and marker.replaced(current.body, wanted.body) == current.body.replace("\r\n", "\n")
    steps = (Step.REQUEST,) if fields.get("todo") else ()
    return (*steps, Step.EDIT) if pushed or steps or not is_same else ()
