"""What travels between the driver, its workers and the journal: values that pickle, and hold no open thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hardener.migration import Migration
    from hardener.repos.commit import Identity
    from hardener.repos.sources import Source


class Kind(Enum):
    """What became of a repository."""

    CHANGED = "changed"
    """There is a change for it: written, committed, or shown."""
    UNCHANGED = "unchanged"
    """Nothing is to do: it has no Dockerfile, or none of its images runs as root."""
    MANUAL = "manual"
    """Nothing was changed, and a person has to look at an image of it."""
    FAILED = "failed"
    """It could not be read, hardened or written."""


class Pull(NamedTuple):
    """What became of a repository's pull request: one or two words, why, its address, number, and how it is now.

    ``state`` is ``open``, ``closed``, ``merged``, or ``""`` where there is none.  ``notes`` are what could not be done
    beside it, a line each; ``preview`` is its title, text and diff in a dry run.
    """

    outcome: str
    reason: str
    url: str = ""
    number: int = 0
    state: str = ""
    notes: tuple[str, ...] = ()
    preview: str = ""


@dataclass(frozen=True)
class Limits:
    """What one repository may take: seconds of time, megabytes of memory."""

    seconds: float = 300
    megabytes: int = 2048


@dataclass(frozen=True)
class Task:
    """One repository to plan for.

    ``from_work_tree``: harden the files of a local folder as they are; else those of a commit (``branch``, by default
    HEAD, or the remote's own).  ``overrides`` are fields of ``hardener.Settings``.
    """

    source: Source
    from_work_tree: bool = False
    allow_dirty: bool = False
    branch: str = ""
    overrides: tuple[tuple[str, Any], ...] = ()
    limits: Limits = field(default_factory=Limits)
    attempt: int = 1
    skip_aside: bool = False
    """Whether Dockerfiles of tests, examples and vendored code are left out."""
    asks_first: bool = False
    """Whether Dockerfiles are left out whose configuration says ``pull-requests = false``."""
    own_branch: str = ""
    """The branch of the pull request, where one may be there already."""
    api_url: str = ""
    """Where the API of the source's forge is, if not at the usual place."""
    identity: Identity | None = None
    """Who the plan's patch is from; without, none is made."""


@dataclass(frozen=True)
class ImagePlan:
    """One image that people build: its Dockerfile (/-separated, below the repository), stage name and answer.

    ``outcome`` is ``switched``, ``prepared``, ``already`` or ``manual``; ``base`` the image at the root of its FROM.
    """

    path: str
    line: int
    stage: str
    base: str
    outcome: str
    reason: str
    way_out: str = ""
    migrations: tuple[Migration, ...] = ()


@dataclass(frozen=True)
class FindingPlan:
    """One change of one file, or what was left alone: file, 1-based line, fixer, reason; ``applied`` if it has edits.

    ``after`` is the 1-based line in the file after the change, 0 where there is none or it is not known.
    """

    path: str
    line: int
    fixer: str
    reason: str
    applied: bool
    after: int = 0


@dataclass(frozen=True)
class FileChange:
    """One file with its bytes before and after; ``mode`` is Git's (``100644``)."""

    path: str
    mode: str
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Plan:
    """Everything that is known of one repository: made by a worker, without any effect outside it.

    ``commit`` is what the changes are relative to (``""`` for a work tree), ``branch`` the branch it is the tip of.
    ``errors`` has a line for each Dockerfile that could not be read, ``notes`` for what was left out; ``aside`` are the
    Dockerfiles that the task left out, ``declined`` those whose configuration wants no pull requests.
    ``has_branch``: the task's ``own_branch`` is there.  ``patch`` is the mail for ``git am``, where it was asked.
    ``transient``: a failure of the network, which may work later.  ``machine``: one of this machine (a full disk).
    """

    source: Source
    kind: Kind
    reason: str
    commit: str = ""
    branch: str = ""
    team: str = ""
    files: tuple[FileChange, ...] = ()
    images: tuple[ImagePlan, ...] = ()
    findings: tuple[FindingPlan, ...] = ()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    patch: bytes = b""
    has_branch: bool = False
    dockerfiles: int = 0
    fetch_seconds: float = 0.0
    harden_seconds: float = 0.0
    peak_megabytes: float = 0.0
    attempt: int = 1
    transient: bool = False
    machine: bool = False

    def count(self, outcome: str) -> int:
        """Return the number of images with an outcome."""
        return sum(one.outcome == outcome for one in self.images)

    def with_peak(self, megabytes: float) -> Plan:
        """Return the plan with the memory that its process has taken at most."""
        return replace(self, peak_megabytes=megabytes)


def failed(source: Source, reason: str, *, transient: bool = False, machine: bool = False) -> Plan:
    """Return the plan of a repository that nothing is planned for."""
    return Plan(source, Kind.FAILED, reason, transient=transient, machine=machine)
