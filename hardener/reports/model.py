"""What every report is written from: plain values, without the projects that they came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.bulk import Failure, shown
from hardener.changed_lines import changes
from hardener.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import PurePosixPath

    from hardener.bulk import Hardened
    from hardener.migration import Migration
    from hardener.outcome import Unit
    from hardener.pipeline import StageResult

# The rule of an image that is switched; the others are the names of the questions (`hardener.outcome.Verdict`).
SWITCHED = "runs_as_root"
# The rule of a service or container with rights over its host; the others are those of its result's fixer.
DANGER = "has_rights_over_host"
OUTCOMES = ("switched", "prepared", "already", "manual")
# What becomes of an image that is root and need not be.
TO_SWITCH = ("switched", "prepared")
UNIT_OUTCOMES = ("hardened", "already", "left", "danger")


class Image(NamedTuple):
    """One stage that people build.

    ``stage`` is its index (0-based), ``line`` 1-based in the Dockerfile as it was, ``outcome`` one of ``switched``,
    ``prepared`` (to be switched, but run_as_user was left out), ``already``, ``manual``.
    """

    stage: int
    name: str
    outcome: str
    rule: str
    line: int
    reason: str
    way_out: str
    user: str
    data_steps: tuple[Migration, ...]

    @property
    def message(self) -> str:
        """The reason and the way out as one line."""
        return f"{self.reason} ({self.way_out})" if self.way_out else self.reason

    @property
    def is_root(self) -> bool:
        """Whether it runs as root now, and would not after the run."""
        return self.outcome in TO_SWITCH

    @property
    def problem(self) -> str:
        """What a machine's report says is wrong with it."""
        return f"runs as root; after harden it {self.message}" if self.is_root else self.message


class Service(NamedTuple):
    """One service of a Compose file or container of a manifest: ``line`` is 1-based in the file as it was.

    ``outcome`` is one of ``hardened``, ``already``, ``left``, ``danger``; ``left_out`` says why something that would
    harden it was not written.
    """

    name: str
    outcome: str
    rule: str
    line: int
    text: str
    left_out: str

    @property
    def message(self) -> str:
        """What became of it as one line."""
        left_out = f" (left out: {self.left_out})" if self.left_out else ""
        text = (
            f"{self.name}: can be hardened: {self.text}" if self.outcome == "hardened" else f"{self.name}: {self.text}"
        )
        return text + left_out


class Place(NamedTuple):
    """Where a step changes a file: its path as the user would write it, and lines that count from 1.

    ``line`` is where it begins in the file before the run, ``new_line`` and ``last_line`` its first and last after it.
    """

    path: str
    line: int
    new_line: int
    last_line: int


class Step(NamedTuple):
    """One thing that a fixer did or left: ``path`` as the user would write it, ``line`` 1-based, before the run."""

    rule: str
    path: str
    line: int
    reason: str
    is_edit: bool
    places: tuple[Place, ...] = ()


class Changed(NamedTuple):
    """One file that the run changes: its path as the user would write it, its bytes before and after."""

    path: str
    before: bytes
    after: bytes


class FileReport(NamedTuple):
    """What became of one file: a Dockerfile with images, a Compose file or manifest with services.

    ``failure`` is set where it could not be read or written.
    """

    path: str
    images: tuple[Image, ...] = ()
    services: tuple[Service, ...] = ()
    steps: tuple[Step, ...] = ()
    changed: tuple[Changed, ...] = ()
    failure: Failure | None = None
    source: bytes = b""
    """The file as it was; in no report but that which shows it."""


def file_report(one: Hardened | Failure) -> FileReport:
    """Return the values of one outcome."""
    if isinstance(one, Failure):
        return FileReport(one.name, failure=one)
    result = one.result
    root = result.before.root

    def path_of(path: PurePosixPath) -> str:
        if path == result.before.dockerfile_path or root is None:
            return one.name
        return shown(root / path)

    places: dict[int, list[Place]] = {}
    for change in changes(result):
        place = Place(path_of(change.path), change.old, change.new, change.last)
        places.setdefault(id(change.finding), []).append(place)
    steps = []
    for finding in result.findings:
        own = tuple(places.get(id(finding), ()))
        path, line = (own[0].path, own[0].line) if own else (path_of(finding.path), finding.line)
        steps.append(Step(finding.fixer, path, line, finding.reason, bool(finding.edits), own))
    changed = tuple(Changed(path_of(path), *pair) for path, pair in result.changed.items())
    services = tuple(service(unit, result.fixer) for unit in result.units)
    source = result.before.files[result.before.dockerfile_path]
    images = tuple(map(image, result.stages))
    return FileReport(one.name, images, services, tuple(steps), changed, source=source)


def image(stage: StageResult) -> Image:
    """Return the values of one stage."""
    found = stage.verdict
    outcome, rule = found.outcome.value, found.question
    if found.outcome is Outcome.SWITCH:
        outcome, rule = (outcome if stage.applied else "prepared"), SWITCHED
    user = f"{found.account.uid}:{found.account.gid}" if found.account is not None else ""
    steps = found.migrations if stage.applied else ()
    return Image(stage.index, stage.name, outcome, rule, found.line, found.reason, found.way_out, user, steps)


def service(unit: Unit, fixer: str) -> Service:
    """Return the values of one service; its line is 1 where it is that of the file as such."""
    rule = DANGER if unit.outcome == "danger" else fixer
    return Service(unit.name, unit.outcome, rule, max(unit.line, 1), unit.text, unit.left_out)


def uri_path(path: str) -> str:
    """Return a path with forward slashes."""
    return path.replace(os.sep, "/")


def text_of(data: bytes) -> str:
    """Return bytes as text for a report; what is not UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def counts(files: Sequence[FileReport]) -> dict[str, int]:
    """Return how many images there are of each outcome."""
    return tallied(OUTCOMES, (one.outcome for file in files for one in file.images))


def service_counts(files: Sequence[FileReport]) -> dict[str, int]:
    """Return how many answers for services there are of each outcome."""
    return tallied(UNIT_OUTCOMES, (one.outcome for file in files for one in file.services))


def tallied(names: Sequence[str], found: Iterable[str]) -> dict[str, int]:
    """Return how often each name was found, in the order of the names."""
    numbers = Counter(found)
    return {name: numbers[name] for name in names}


def as_json(document: Any) -> str:
    """Return a report as JSON for people to read too; what UTF-8 cannot hold becomes a question mark."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def fingerprint(*parts: str) -> str:
    """Return what stays the same where only lines move."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def sentence(told: str) -> str:
    """Return text that begins with a capital letter, but for an address."""
    return told if "://" in told.partition(" ")[0] else told[:1].upper() + told[1:]
