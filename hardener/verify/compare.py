"""Compares what was seen before and after, and says which is better; pure functions over observations."""

from __future__ import annotations

import difflib
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardener.verify.observation import ABOUT, EPHEMERAL, Seen, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.verify.observation import Answer

SAME, BETTER, BROKEN, UNJUDGED = "same", "better", "broken", "unjudged"
# What a program says when it was refused something, whatever its language; errno(3) has the names and texts.
REFUSED = re.compile(
    r"\b(?:EACCES|EPERM|EROFS)\b|permission denied|operation not permitted|read-only file system|PermissionError"
    r"|AccessDenied(?:Exception)?\b|readonly database",
    re.IGNORECASE,
)
# What is different at every start: dates, times, addresses, process numbers, ids, ports of clients.
VOLATILE = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]?|\d\d:\d\d:\d\d(?:[.,]\d+)?|\b[0-9a-f]{12,64}\b|0x[0-9a-f]+|\d+(?:\.\d+)*",
    re.IGNORECASE,
)
# Bodies may differ in what the clock and the engine give: times, dates, container ids, addresses.
OF_THE_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \w+"
    r"|\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b1[6-9]\d{8}(?:\.\d+|\d{3})?\b"
)
EXCERPT = 6
SIZE_FACTOR, SIZE_EXTRA = 1.01, 1_000_000
# Python writes its compiled files beside the sources where it may, and goes on where it may not.
HARMLESS = re.compile(r"/__pycache__(?:/|$)|/\.pytest_cache|/\.wh\.")


@dataclass(frozen=True)
class Reason:
    """One thing that is worse: ``kind`` is build, start, exit, restarts, health, port, probe, log, data or migration.

    ``scenario`` is one of `SCENARIOS`; ``text`` one sentence; ``excerpt`` the lines that show it.
    """

    kind: str
    scenario: str
    service: str
    text: str
    excerpt: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict (same, better, broken, unjudged), why, what became better, and what is only worth knowing."""

    verdict: str
    reasons: tuple[Reason, ...] = ()
    gains: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def judge(
    before: Side, after: Side, new_port: Callable[[int], int], tolerance: float = 0.0, allowed: tuple[str, ...] = ()
) -> Judgement:
    """Return the verdict over two sides of the same project.

    ``new_port`` tells where a port below 1024 goes; ``tolerance`` is how much of a body may differ (0 to 1), besides
    what differs before already; ``allowed`` are regular expressions for log lines that do not count.
    """
    if not before.built:
        return Judgement(
            UNJUDGED, (Reason("build", "start", "", "it does not build before either", before.build_error),)
        )
    if not after.built:
        reason = Reason("build", "start", "", "it builds before, and no longer afterwards", after.build_error)
        return Judgement(BROKEN, (reason,))
    dead = [
        Reason("start", "start", name, f"{label(name, before)}does not run before: {ending(one)}", last(one))
        for name, one in before.scenarios.get("start", {}).items()
        if not one.works
    ]
    if dead:
        return Judgement(UNJUDGED, tuple(dead))
    text = "a command that is printed for data that are there already fails"
    reasons = [Reason("migration", "upgrade", "", text, one) for one in after.refused]
    gains: list[str] = []
    for scenario, services in after.scenarios.items():
        for name, seen in services.items():
            old = reference(before, scenario, name)
            if old is None:
                continue
            where = label(name, before)
            if scenario in ("locked", "arbitrary"):
                base = before.scenarios["start"][name]
                was = not list(differences(base, old, new_port, tolerance, allowed))
                found = list(differences(base if not was else old, seen, new_port, tolerance, allowed))
                if was:
                    reasons += [Reason(kind, scenario, name, f"{where}{text}", lines) for kind, text, lines in found]
                elif not found:
                    gains.append(f"{where}survives {ABOUT[scenario]}")
                continue
            found = list(differences(old, seen, new_port, tolerance, allowed))
            reasons += [Reason(kind, scenario, name, f"{where}{text}", lines) for kind, text, lines in found]
            if scenario == "start" and is_root(old.user) and seen.user is not None and not is_root(seen.user):
                gains.append(f"{where}process 1 runs as {seen.user}, no longer as root")
    notes = tuple(notes_on(before, after))
    if reasons:
        return Judgement(BROKEN, tuple(reasons), tuple(gains), notes)
    return Judgement(BETTER if gains else SAME, (), tuple(gains), notes)


def reference(before: Side, scenario: str, name: str) -> Seen | None:
    """Return what a container is compared with: the same scenario before; for an upgrade, a second start."""
    found = before.scenarios.get("again" if scenario == "upgrade" else scenario, {}).get(name)
    return found if found is not None else before.scenarios.get("start", {}).get(name)


def label(name: str, side: Side) -> str:
    """Return the beginning of a sentence about a service, nothing where there is only one."""
    return f"service {name}: " if len(side.images) > 1 else ""


def is_root(user: str | None) -> bool:
    """Whether ``uid:gid`` is root's."""
    return user is not None and user.partition(":")[0] in ("0", "root")


def ending(one: Seen) -> str:
    """Return how a container ended, in half a sentence."""
    if one.error:
        return "the engine does not start it"
    if one.health == "unhealthy":
        return "its health check fails"
    return f"it ends with exit code {one.exit_code}"


def last(one: Seen) -> str:
    """Return the lines that tell why a container does not run."""
    lines = (one.error or one.log).strip().splitlines()
    telling = [line for line in lines if REFUSED.search(line)]
    return "\n".join([*telling[-3:], *[line for line in lines[-EXCERPT:] if line not in telling[-3:]]])[-2000:]


def differences(
    old: Seen, new: Seen, new_port: Callable[[int], int], tolerance: float, allowed: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    """Yield kind, text and excerpt of everything that is worse in ``new``."""
    if old.works and not new.works and (new.error or new.health != "unhealthy"):
        yield ("start" if new.error else "exit"), ending(new), last(new)
        return
    if old.running and not new.running:
        yield "exit", f"it ends with exit code {new.exit_code}, and runs on before", last(new)
        return
    if not old.running and not new.running and old.exit_code != new.exit_code:
        yield "exit", f"it ends with exit code {new.exit_code}, before with {old.exit_code}", last(new)
        return
    if new.restarts > old.restarts + 1:
        yield "restarts", f"it was restarted {new.restarts} times, before {old.restarts} times", last(new)
    if old.health == "healthy" and new.health != "healthy":
        yield "health", f"its health check says {new.health or 'nothing'}, before healthy", last(new)
    lost = lost_ports(old, new, new_port)
    if lost:
        yield "port", f"nobody listens on port {', '.join(map(str, lost))} any more", last(new)
    for earlier, later in zip(old.answers, new.answers, strict=False):
        text = answer_differs(earlier, later, tolerance)
        if text:
            yield "probe", f"{earlier.probe} {text}", last(new)
    if new.unusable:
        yield "data", "its user cannot use data that were written before", "\n".join(new.unusable)
    lines = new_refusals(old.log, new.log, allowed)
    if lines:
        yield "log", "its log says that it was refused something, and did not before", "\n".join(lines[:EXCERPT])


def lost_ports(old: Seen, new: Seen, new_port: Callable[[int], int]) -> list[int]:
    """Return the ports that were listened on and have no counterpart any more; none where it is not known."""
    if old.ports is None or new.ports is None:
        return []
    later = {port for port in new.ports if port < EPHEMERAL}
    unmatched = []
    for port in (port for port in old.ports if port < EPHEMERAL):
        match = next((one for one in (port, new_port(port) if port < 1024 else port) if one in later), None)
        if match is None:
            unmatched.append(port)
        else:
            later.discard(match)
    return unmatched[len(later) :]  # one that moved elsewhere is there under another number


def answer_differs(old: Answer, new: Answer, tolerance: float) -> str:
    """Return what is different about an answer, ``""`` for nothing."""
    if old.error:
        return ""
    if new.error:
        return f"is not answered any more ({new.error})"
    if old.status != new.status:
        kind = "ends with exit code" if old.probe.startswith("cmd") else "answers with status"
        return f"{kind} {new.status}, before {old.status}"
    if not similar(old.body, new.body, tolerance):
        return f"answers {shortened(new.body, old.body)}, before {shortened(old.body, new.body)}"
    return ""


def similar(old: str, new: str, tolerance: float) -> bool:
    """Whether two bodies are the same but for what the moment gives, and a share of ``tolerance``."""
    if old == new:
        return True
    old, new = (OF_THE_MOMENT.sub("#", text) for text in (old, new))
    if old == new:
        return True
    return tolerance > 0 and difflib.SequenceMatcher(None, old[:20000], new[:20000]).ratio() >= 1 - tolerance


def shortened(text: str, other: str) -> str:
    """Return a body's part around the first difference from another."""
    start = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(0, start - 20)
    return repr(text[start : start + 80])


def refusals(log: str) -> list[str]:
    """Return the lines of a log that tell of something refused."""
    return [line for line in log.splitlines() if REFUSED.search(line)]


def new_refusals(old: str, new: str, allowed: tuple[str, ...]) -> list[str]:
    """Return the refused lines of a log that are not in another one, whatever numbers they carry."""
    known = {VOLATILE.sub("#", line) for line in refusals(old)}
    found = [line.rstrip() for line in refusals(new) if VOLATILE.sub("#", line) not in known]
    return [line for line in dict.fromkeys(found) if not any(re.search(one, line) for one in allowed)]


def unwritten(old: Seen, new: Seen) -> list[str]:
    """Return the folders in which files were added or changed before, and not afterwards; the likeliest first."""
    there = {folder_of(path) for path in new.written}
    found = dict.fromkeys(folder_of(path) for path in old.written if not HARMLESS.search(path))
    parents = {posixpath.dirname(one) for one in found}
    return [one for one in found if one not in there and one not in ("/", "/root") and not is_parent(one, parents, old)]


def folder_of(path: str) -> str:
    """Return the folder that a path lies in."""
    return posixpath.dirname(path)


def is_parent(folder: str, parents: set[str], seen: Seen) -> bool:
    """Whether only folders changed in a folder, so that what was written lies further down."""
    inside = [path for path in seen.written if folder_of(path) == folder]
    return folder in parents and all(
        any(one != path and one.startswith(f"{path}/") for one in seen.written) for path in inside
    )


def notes_on(before: Side, after: Side) -> Iterator[str]:
    """Yield what is worth knowing and breaks nothing: growth, root that stays, files that are not written any more."""
    for name, image in after.images.items():
        old = before.images.get(name)
        if old is None:
            continue
        if image.size > old.size * SIZE_FACTOR + SIZE_EXTRA:
            yield f"{label(name, before)}the image grew from {old.size / 1e6:.1f} to {image.size / 1e6:.1f} MB"
    for name, seen in after.scenarios.get("start", {}).items():
        if is_root(seen.user):
            yield f"{label(name, before)}process 1 is root still"
        old_seen = before.scenarios.get("start", {}).get(name)
        if old_seen is None:
            continue
        if seen.running and (seen.ports is None or old_seen.ports is None):
            yield f"{label(name, before)}its listening ports could not be seen from here"
        quiet = unwritten(old_seen, seen)
        if quiet:
            yield f"{label(name, before)}before it wrote below {', '.join(quiet[:4])}, and not afterwards"
    yield from before.notes
    yield from (one for one in after.notes if one not in before.notes)
