"""The checklist's answers for the services of Compose files, as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener.checklist.answer import OK, OPEN, UNKNOWN, Answer
from hardener.runtime.compose_dangers import dangers_of, is_true
from hardener.runtime.compose_privileges import plans
from hardener.runtime.needs import needs_of_image
from hardener.runtime.services import effective, items
from hardener.stages import is_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from hardener.compose import Service
    from hardener.runtime.compose_privileges import StageNeeds
    from hardener.runtime.services import Files

CONFINEMENT = ("seccomp", "apparmor", "label", "systempaths")
FIX = "harden PATH --in-place writes it"


def answers(files: Files, path: PurePosixPath, needs: StageNeeds) -> Iterator[Answer]:
    """Yield the answers for every service of a Compose file; ``needs`` tells what the project's own images need."""
    every = files.every()
    planned = {one.service.name: one for one in plans(files, path, needs)}
    for service in files.services(path):
        values = effective(every, service)
        if not (values.get("image") or values.get("build")):
            continue  # it only adds to a service of another file
        one = planned.get(service.name)
        keys = {key for key, _ in one.keys} if one is not None and (one.edits or one.through) else set()
        told = "; ".join(one.options.told) if one is not None else ""
        subject = f"service {service.name}"

        def answer(
            question: str, state: str, text: str, way_out: str = "", *, at: Service = service, of: str = subject
        ) -> Answer:
            return Answer(question, of, str(path), at.line, state, text, way_out)

        yield root(answer, values, keys, told)
        yield rights(answer, values, keys, told)
        is_read_only = is_true(values.get("read_only"))
        yield (
            answer("read-only", OK, "read_only: true")
            if is_read_only
            else answer("read-only", OPEN, "its file system can be written", way_out("read_only" in keys, told))
        )
        yield privileges(answer, values, keys, told)
        yield from dangers(answer, values)


def root(answer: Any, values: Mapping[str, Any], keys: set[str], told: str) -> Answer:
    """Return whether a service runs as root."""
    user = str(values.get("user") or "")
    needs = needs_of_image(str(values.get("image") or ""))
    row: tuple[str, ...] = (OPEN, "its image starts as root", way_out("user" in keys, told))
    if user:
        row = (OPEN, f"user: {user}", "take that line away") if is_root(user) else (OK, f"user: {user}")
    elif values.get("build"):
        row = (OK, "the image that it builds decides: see there")
    elif needs.starts_as_root is None:
        row = (UNKNOWN, "who its image runs as is not known", "set user:, or look with docker inspect")
    elif not needs.starts_as_root:
        row = (OK, f"its image runs as {needs.user or 'a user of its own'}")
    found: Answer = answer("root", *row)
    return found


def rights(answer: Any, values: Mapping[str, Any], keys: set[str], told: str) -> Answer:
    """Return whether a service has only the capabilities that it needs."""
    dropped = [str(one).upper() for one in items(values.get("cap_drop"))]
    if "ALL" in dropped:
        added = ", ".join(map(str, items(values.get("cap_add"))))
        found: Answer = answer("capabilities", OK, "all dropped" + (f", {added} added" if added else ""))
    else:
        found = answer("capabilities", OPEN, "it has those that Docker gives", way_out("cap_drop" in keys, told))
    return found


def privileges(answer: Any, values: Mapping[str, Any], keys: set[str], told: str) -> Answer:
    """Return whether a setuid program could make a service root again."""
    options = [str(one).replace("=", ":") for one in items(values.get("security_opt"))]
    if any(one in ("no-new-privileges", "no-new-privileges:true") for one in options):
        found: Answer = answer("no-new-privileges", OK, "no-new-privileges:true")
    else:
        found = answer(
            "no-new-privileges", OPEN, "a setuid program may make it root", way_out("security_opt" in keys, told)
        )
    return found


def dangers(answer: Any, values: Mapping[str, Any]) -> Iterator[Answer]:
    """Yield what gives a service rights over its host, or switches its confinement off."""
    found = list(dangers_of(values))
    for question in ("host-access", "confinement"):
        rows = [one for one in found if one.name.startswith(CONFINEMENT) == (question == "confinement")]
        for one in rows:
            yield answer(question, OPEN, f"{one.name}: {one.danger}", one.instead)
        if not rows:
            yield answer(question, OK, "nothing of the kind")


def way_out(is_written: bool, told: str) -> str:
    """Return what to do: what harden writes, else why it leaves it."""
    reason = told.removeprefix("no-new-privileges: ")
    return FIX if is_written else reason or "what it needs is not known: try it, then write it by hand"
