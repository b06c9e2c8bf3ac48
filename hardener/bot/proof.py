"""What was verified of a change, as the text tells it: from the JSON report of ``harden verify``, docs/verify.md.

A report counts for the files that it was made of, known by their digests, and for nothing else.  No log and no answer
of a program gets into the text: there may be secrets in them.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.bot.forge import ForgeError
from hardener.bot.markdown import code, plain, table

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

    ``broken`` has a line for each thing that is worse than before.  ``commit`` is what it was seen of.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    engine: str = ""
    commit: str = ""


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
    for unit in document["units"]:
        files = {path: digest for path, digest in unit["files"].items() if path in digests}
        if not files:
            continue
        others = [path for path, digest in files.items() if digest != digests[path]]
        if others:
            missing.append(f"{code(unit['name'])}: the report is about another {code(others[0])}")
            continue
        seen.update(files)
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
        f"{engine['kind']} {engine['version']}", plan.commit,
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
            "" if data is None else runs(data), size(before["images"].get(name), after["images"].get(name)),
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
    return " → ".join(f"`{user}`{' (root)' if user.startswith('0:') else ''}" for user in dict.fromkeys(found))


def asked(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return how many questions had the same answer."""
    first, second = ({one["probe"]: one for one in (side or {}).get("answers", ())} for side in (old, new))
    if not first:
        return "nothing"
    same = sum(
        probe in second
        and (one["status"], bool(one["error"])) == (second[probe]["status"], bool(second[probe]["error"]))
        for probe, one in first.items()
    )
    status = ", ".join(sorted({str(one["status"]) for one in first.values() if one["status"]}))
    return f"{same} of {len(first)} as before{f' ({status})' if status else ''}"


def size(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return by how much an image grew."""
    if old is None or new is None:
        return "-"
    return f"{new['size'] / 1e6:.1f} MB ({(new['size'] - old['size']) / 1e6:+.1f})"


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
    return f"{title}\n\n{begin(fingerprint, passed(proof))}\n{text}\n\n{END}" if fingerprint else f"{title}\n\n{text}"


def begin(fingerprint: str, is_whole: bool) -> str:
    """Return the comment before what was verified of a change, with whether nothing was missing of it."""
    return f"<!-- harden:verified {fingerprint} {'whole' if is_whole else 'partly'} -->"


def kept(body: str, fingerprint: str) -> str:
    """Return what ``body`` tells of a verification of the change with this fingerprint, ``""`` for none."""
    for is_whole in (True, False):
        first = re.escape(begin(fingerprint, is_whole))
        found = re.search(rf"{first}\n.*?{re.escape(END)}", body.replace("\r\n", "\n"), re.DOTALL)
        if found:
            return found[0]
    return ""


def passed(proof: Proof | None, kept: str = "") -> bool:
    """Whether everything that changes was built and run, and was no worse, by a proof or by what was kept of one."""
    if proof is None:
        return kept.partition("\n")[0].endswith(" whole -->")
    return bool(proof.rows) and not proof.broken and not any(is_gap(one) for one in proof.missing)


def is_gap(line: str) -> bool:
    """Whether a note says that an image was not verified at all."""
    return any(text in line for text in ("was not built or run", "could not be judged", "is about another"))
