"""What was found out, as a table side by side for people and as JSON for programs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hardener.bulk import Hardened
from hardener.needs import Needs
from hardener.verify.compare import BETTER, BROKEN, UNJUDGED, refusals
from hardener.verify.observation import ABOUT, SCENARIOS, SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.verify.compare import Reason
    from hardener.verify.learning import Learnt, Outcome
    from hardener.verify.observation import Seen, Side

VERSION = 1
WIDTHS = (34, 30)
SHOWN = 12


def text(outcome: Outcome) -> Iterator[str]:
    """Yield the lines about one unit: what was seen before and after, then the verdict and why."""
    before, after = outcome.before.side, outcome.attempt.side
    yield row(outcome.unit.name, "before", "after")
    yield row("  built", yes(before.built), yes(after.built) if before.built else "-")
    names = list(before.scenarios.get("start") or before.images)
    for name in names:
        if len(names) > 1:
            yield f"  service {name}"
        yield from service_rows(name, before, after)
    judgement = outcome.attempt.judgement
    yield f"  {judgement.verdict}: {verdict_text(outcome)}"
    for reason in judgement.reasons:
        yield from reason_lines(reason)
    for cause in outcome.causes:
        yield f"    cause: {cause.text}"
    for note in judgement.notes:
        yield f"    note: {note}"
    yield from learnt_lines(outcome)


def verdict_text(outcome: Outcome) -> str:
    """Return the half sentence behind a verdict."""
    judgement = outcome.attempt.judgement
    if judgement.verdict == BROKEN:
        return judgement.reasons[0].text
    if judgement.verdict == UNJUDGED:
        return f"it cannot be judged: {judgement.reasons[0].text}"
    return "; ".join(judgement.gains) if judgement.verdict == BETTER else "nothing that was seen is different"


def reason_lines(reason: Reason) -> Iterator[str]:
    """Yield one thing that broke, with the lines that show it."""
    yield f"    {ABOUT[reason.scenario]}: {reason.text}"
    lines = reason.excerpt.splitlines()
    for line in lines[-SHOWN:] if reason.kind == "build" else lines[:SHOWN]:  # a build says why at its end
        yield f"      | {line[:200]}"


def learnt_lines(outcome: Outcome) -> Iterator[str]:
    """Yield what was learnt, and what is to be left alone."""
    if outcome.passed:
        for dockerfile, needs in outcome.learnt.needs.items():
            yield f"    learnt in {outcome.tries} tries: {dockerfile} needs {shown(needs)}"
        for dockerfile in outcome.learnt.again:
            yield f"    mended: {dockerfile} hardened again from root"
    elif outcome.left:
        yield f"    leave this image alone: {outcome.left}"


def shown(needs: Needs) -> str:
    """Return needs in one line."""
    parts = [
        f"{key} {', '.join(getattr(needs, key))}" for key in ("writable", "readable", "tmpfs") if getattr(needs, key)
    ]
    parts += [f"{key}={value}" for key, value in needs.env]
    parts += [f'ports = "{needs.ports}"'] if needs.ports else []
    return "; ".join(parts)


def service_rows(name: str, before: Side, after: Side) -> Iterator[str]:
    """Yield the rows of one service."""
    old, new = before.scenarios.get("start", {}).get(name), after.scenarios.get("start", {}).get(name)
    yield row("  started", started(old), started(new))
    yield row("  process 1", user(old), user(new))
    yield row("  listens on", ports(old), ports(new))
    later = {one.probe: one for one in new.answers} if new is not None else {}
    for answer in old.answers if old is not None else ():
        other = later.get(answer.probe)
        yield row(f"  {answer.probe}"[:60], answered(answer), answered(other) if other is not None else "-")
    if old is not None and old.health:
        yield row("  health", old.health, (new.health or "-") if new is not None else "-")
    yield row("  restarts", number(old, "restarts"), number(new, "restarts"))
    if (old is not None and not old.running) or (new is not None and not new.running):
        yield row("  exit code", number(old, "exit_code"), number(new, "exit_code"))
    yield row("  lines that tell of a refusal", refused(old), refused(new))
    image, later_image = before.images.get(name), after.images.get(name)
    if image is not None:
        grown = f"{later_image.size / 1e6:.1f} MB, {later_image.layers} layers" if later_image is not None else "-"
        if later_image is not None:
            grown += f" ({(later_image.size - image.size) / 1e6:+.2f} MB, {later_image.layers - image.layers:+d})"
        yield row("  image", f"{image.size / 1e6:.1f} MB, {image.layers} layers", grown)
    for scenario in SCENARIOS[1:]:
        one, two = before.scenarios.get(scenario, {}).get(name), after.scenarios.get(scenario, {}).get(name)
        if one is not None or two is not None:
            yield row(f"  {SHORT[scenario]}", survives(one, old), survives(two, new))


def row(*cells: str) -> str:
    """Return one row of the table."""
    return f"{cells[0]:<{WIDTHS[0]}} {cells[1]:<{WIDTHS[1]}} {cells[2]}".rstrip()


def yes(value: bool) -> str:
    """Return yes or no."""
    return "yes" if value else "no"


def started(one: Seen | None) -> str:
    """Return whether a container started and runs."""
    if one is None:
        return "-"
    return "no" if one.error else f"yes, {one.seconds:.1f} s" if one.running else "yes, and ended"


def user(one: Seen | None) -> str:
    """Return the user of process 1."""
    if one is None or one.user is None:
        return "-" if one is None or not one.running else "not seen"
    return f"{one.user} (root)" if one.user.startswith("0:") else one.user


def ports(one: Seen | None) -> str:
    """Return the ports that are listened on."""
    if one is None or not one.running:
        return "-"
    return "not seen" if one.ports is None else ", ".join(map(str, one.ports)) or "nothing"


def answered(one: Any) -> str:
    """Return an answer in few words."""
    if one.error:
        return f"no answer ({one.error[:30]})"
    if one.probe.startswith("tcp"):
        return "open"
    return f"{one.status}, {len(one.body)} characters"


def number(one: Seen | None, name: str) -> str:
    """Return one number."""
    value = getattr(one, name) if one is not None else None
    return "-" if value is None else str(value)


def refused(one: Seen | None) -> str:
    """Return how many lines of the log tell of a refusal."""
    return "-" if one is None else str(len(refusals(one.log)))


def survives(one: Seen | None, start: Seen | None) -> str:
    """Return whether a container did what it did at its first start."""
    if one is None:
        return "-"
    if not one.works:
        return "no"
    asked = {answer.probe: (answer.status, bool(answer.error)) for answer in start.answers} if start is not None else {}
    same = all(asked.get(answer.probe) == (answer.status, bool(answer.error)) for answer in one.answers)
    fresh = len(refusals(one.log)) <= len(refusals(start.log)) if start is not None else True
    return "yes" if same and fresh else "no"


def document(outcomes: list[Outcome], run: str, engine: dict[str, Any], left: list[dict[str, str]]) -> dict[str, Any]:
    """Return the whole report as data; docs/verify.md describes it."""
    return {
        "version": VERSION,
        "run": run,
        "engine": engine,
        "units": [unit_document(one) for one in outcomes],
        "left_alone": left,
    }


def unit_document(outcome: Outcome) -> dict[str, Any]:
    """Return one unit as data."""
    judgement = outcome.attempt.judgement
    return {
        "name": outcome.unit.name,
        "dockerfiles": list(outcome.unit.dockerfiles),
        "files": digests(outcome),
        "compose": list(outcome.unit.compose),
        "verdict": judgement.verdict,
        "reasons": [asdict(one) for one in judgement.reasons],
        "causes": [{**one._asdict(), "text": one.text} for one in outcome.causes],
        "gains": list(judgement.gains),
        "notes": list(judgement.notes),
        "tries": outcome.tries,
        "learnt": learnt_document(outcome.learnt) if outcome.passed else {},
        "leave": outcome.left,
        "before": asdict(outcome.before.side),
        "after": asdict(outcome.attempt.side),
    }


def digests(outcome: Outcome) -> dict[str, str]:
    """Return the SHA-256 of every file that the hardener changed for a unit, so that a report tells what it is of."""
    own = {*outcome.unit.dockerfiles, *((outcome.unit.folder / one).as_posix() for one in outcome.unit.compose)}
    return {
        str(path): hashlib.sha256(new).hexdigest()
        for one in outcome.results
        if isinstance(one, Hardened) and one.name in own
        for path, (_, new) in one.result.changed.items()
    }


def learnt_document(learnt: Learnt) -> dict[str, Any]:
    """Return what was learnt as data, by Dockerfile."""
    names = dict.fromkeys((*learnt.needs, *learnt.again))
    return {
        name: {**learnt.needs.get(name, Needs())._asdict(), "again": name in learnt.again,
               "reasons": learnt.reasons.get(name, [])}
        for name in names
    }  # fmt: skip
