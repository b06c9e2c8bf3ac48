"""What was verified of a change, as the text tells it: from the JSON report of ``harden verify``, docs/verify.md.

A report counts for the files that it was made of, known by their digests, and for nothing else.  No log and no answer
of a program gets into the text: there may be secrets in them.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.bot.forge import ForgeError
from hardener.markdown import code, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.repos.values import Plan

VERSION = 1
PASSED = ("same", "better")
HEAD = ("image", "builds", "runs", "process 1", "asked", "on data of before", "size")
END = "<!-- harden:verified end -->"
STATIC = (
    "Nothing was built or started: no container engine was asked. Checked without one: every byte outside the changed "
    "lines is as it was, a second run changes nothing, and every user that is named exists. Your pipeline is the test."
)


class Proof(NamedTuple):
    """What ``harden verify`` saw: rows of a table, already Markdown, and what it did not do.

    ``broken`` has a line for each thing that is worse than before.  ``commit`` is what it was seen of; ``good`` of the
    ``changed`` Dockerfiles were built and run, and are no worse.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    engine: str = ""
    commit: str = ""
    good: int = 0
    changed: int = 0


def proof_of(document: Any, plan: Plan) -> Proof:
    """Return what a report says of a plan's files; raises ``ForgeError`` for what is no report of ``harden verify``."""
    try:
        if document["version"] != VERSION:
            raise ForgeError(f"the report of harden verify has version {document['version']}, not {VERSION}")
        return read(document, plan)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ForgeError(f"the report is not one of harden verify --json: {type(error).__name__} {error}") from error


def read(document: Mapping[str, Any], plan: Plan) -> Proof:
    """Return the proof of a report whose form is right."""
    digests = {one.path: hashlib.sha256(one.after).hexdigest() for one in plan.files}
    rows: list[tuple[str, ...]] = []
    missing: list[str] = []
    broken: list[str] = []
    seen: set[str] = set()
    good: set[str] = set()
    doubtful: set[str] = set()
    for unit in document["units"]:
        files = {path: digest for path, digest in unit["files"].items() if path in digests}
        if not files:
            continue
        others = [path for path, digest in files.items() if digest != digests[path]]
        if others:
            missing.append(f"{code(unit['name'])}: the report is about another {code(others[0])}")
            continue
        seen.update(files)
        (good if unit["verdict"] in PASSED else doubtful).update(files)
        reasons = [plain(one["text"], 200) for one in unit["reasons"]]
        if unit["verdict"] == "broken":
            broken += [f"{unit['name']}: {text}" for text in reasons or ["it is worse than before"]]
        elif unit["verdict"] not in PASSED:
            missing.append(f"{code(unit['name'])} could not be judged: {'; '.join(reasons)}")
        rows += rows_of(unit)
        missing += notes_of(unit)
    changed = dict.fromkeys(one.path for one in plan.images if one.outcome in ("switched", "prepared"))
    missing += [f"{code(path)} was not built or run" for path in changed if path not in seen]
    engine = document["engine"]
    return Proof(
        HEAD, tuple(rows), tuple(dict.fromkeys(missing)), tuple(broken),
        f"{engine['kind']} {engine['version']}", plan.commit, len((good - doubtful) & set(changed)), len(changed),
    )  # fmt: skip


def rows_of(unit: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each service of a unit."""
    before, after = unit["before"], unit["after"]
    built = "yes" if not after["build_error"] else "**no**" if not before["build_error"] else "not before either"
    names = list(after["scenarios"].get("start") or before["scenarios"].get("start") or after["images"] or {"": None})
    for name in names:
        old, new = (side["scenarios"].get("start", {}).get(name) for side in (before, after))
        what = code(unit["name"]) + (f" {plain(name)}" if len(names) > 1 else "")
        data = after["scenarios"].get("upgrade", {}).get(name)
        yield (
            what, built, runs(new), users(old, new), asked(old, new),
            "-" if data is None else runs(data), size(before["images"].get(name), after["images"].get(name)),
        )  # fmt: skip


def runs(one: Mapping[str, Any] | None) -> str:
    """Return whether a container runs."""
    if one is None:
        return "-"
    if one["error"] or one["health"] == "unhealthy":
        return "**no**"
    return "yes" if one["running"] else "yes, and ends" if one["exit_code"] == 0 else f"exit code {one['exit_code']}"


def users(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return the users of process 1, before and after."""
    found = [(one or {}).get("user") or "?" for one in (old, new)]
    return " → ".join("root" if user.startswith("0:") else f"`{user}`" for user in dict.fromkeys(found))


def asked(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return how many questions had the same answer."""
    first, second = ({one["probe"]: one for one in (side or {}).get("answers", ())} for side in (old, new))
    if not first:
        return "nothing"
    as_before = [one for probe, one in first.items() if told_by(one) == told_by(second.get(probe, {}))]
    if len(as_before) < len(first):
        return f"**{len(as_before)} of {len(first)}** as before"
    status = ", ".join(sorted({str(one["status"]) for one in as_before if one["status"]}))
    return f"{f'{status}, ' if status else ''}as before" if len(first) == 1 else f"{len(first)} answers as before"


def told_by(answer: Mapping[str, Any]) -> tuple[object, bool]:
    """Return what counts of an answer."""
    return answer.get("status"), bool(answer.get("error"))


def size(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return by how much an image grew."""
    return "-" if old is None or new is None else f"{(new['size'] - old['size']) / 1e6:+.1f} MB"


def notes_of(unit: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was not looked at in one unit."""
    name = code(unit["name"])
    started = unit["after"]["scenarios"].get("start", {})
    if started and not any(one["answers"] for one in started.values()):
        yield f"{name}: nothing was asked of it, so it was only seen to run"
    unseen = [service for service, one in started.items() if one["running"] and one["user"] is None]
    if unseen:
        yield f"{name}: the user of process 1 could not be seen ({', '.join(map(plain, unseen))})"
    for text in unit["notes"]:
        yield f"{name}: {plain(text, 300)}"


def section(proof: Proof | None, fingerprint: str = "", kept: str = "") -> str:
    """Return the section of the text; ``kept`` is what an earlier run saw of the change with this fingerprint."""
    title = "### What was verified?"
    if proof is None:
        return f"{title}\n\n{kept or STATIC}"
    told = (
        f"Built and started before and after with {plain(proof.engine)} by `harden verify`, at {proof.commit[:10]}. "
        "What it was not asked, it does not know."
    )
    if not proof.rows:
        told = "`harden verify` was run, and looked at none of the images that change here."
    notes = "\n".join(f"- {line}" for line in proof.missing)
    text = "\n\n".join(part for part in (told, table(proof.head, proof.rows) if proof.rows else "", notes) if part)
    return (
        f"{title}\n\n{begin(fingerprint)} {proof.good} of {proof.changed} -->\n{text}\n\n{END}"
        if fingerprint
        else f"{title}\n\n{text}"
    )


def begin(fingerprint: str) -> str:
    """Return how the comment begins that stands before what was verified of a change; the numbers follow."""
    return f"<!-- harden:verified {fingerprint}"


def kept(body: str, fingerprint: str) -> str:
    """Return what ``body`` tells of a verification of the change with this fingerprint, ``""`` for none."""
    first = rf"{re.escape(begin(fingerprint))} \d+ of \d+ -->"
    found = re.search(rf"{first}\n.*?{re.escape(END)}", body.replace("\r\n", "\n"), re.DOTALL)
    return found[0] if found else ""


def headline(proof: Proof | None, kept: str = "") -> str:
    """Return a sentence with the result for the beginning of a text, by a proof or by what was kept of one."""
    found = re.match(r"<!-- harden:verified \w+ (\d+) of (\d+) -->", kept)
    good, changed = (proof.good, proof.changed) if proof is not None else map(int, found.groups() if found else (0, 0))
    if not good:
        return ""
    if good == changed:
        return " Built and run before and after: nothing is worse."
    return f" {good} of {changed} {'was' if good == 1 else 'were'} built and run before and after, and no worse."
