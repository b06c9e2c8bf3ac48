"""The checklist's answers for the workloads of Kubernetes manifests, as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.checklist.answer import OK, OPEN, UNKNOWN, Answer
from hardener.manifest_ports import table
from hardener.pods.pod_dangers import told
from hardener.pods.restricted import violations
from hardener.pods.security import pod_annotations
from hardener.pods.workloads import is_template, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import PurePosixPath

    from hardener.outcome import Unit
    from hardener.pods.restricted import Violation
    from hardener.pods.workloads import Workload

# The fields of Pod Security, by the question that they answer.
FIELDS = {
    "root": ("runAsNonRoot", "runAsUser"),
    "ports": ("hostPort",),
    "capabilities": ("capabilities.drop",),
    "no-new-privileges": ("allowPrivilegeEscalation",),
    "confinement": ("seccompProfile", "appArmorProfile", "AppArmor", "seLinuxOptions", "procMount"),
}
FIX = "harden PATH --in-place writes it"
BY_HAND = "set it in the securityContext by hand, once it is known that the image works so"


def answers(path: PurePosixPath, data: bytes, units: Sequence[Unit]) -> Iterator[Answer]:
    """Yield the answers for every workload of a manifest; ``units`` is what harden makes of it."""
    if is_template(data):
        for unit in units:
            yield Answer("root", "template", str(path), unit.line, UNKNOWN, unit.text, unit.left_out)
        return
    hardened = {unit.line: unit for unit in units if unit.outcome == "hardened"}
    for one in workloads(path, data):
        yield from of_workload(one, hardened.get(one.line))


def of_workload(workload: Workload, hardened: Unit | None) -> Iterator[Answer]:
    """Yield the answers for one workload."""
    subject, file = workload.title, str(workload.path)
    found = violations(workload.values, pod_annotations(workload))
    for question, names in FIELDS.items():
        rows = [one for one in found if one.field in names]
        if rows:
            text = "; ".join(map(str, rows))
            yield Answer(question, subject, file, workload.line, OPEN, text, way_out(rows, hardened))
        else:
            yield Answer(question, subject, file, workload.line, OK, "as Pod Security's restricted wants it")
        if question == "capabilities":
            yield read_only(workload, hardened)
    dangerous = list(told(workload))
    for one in dangerous:
        where = f"container {one.container}: " if one.container else ""
        text = f"{where}{one.danger.name}: {one.danger.danger}"
        yield Answer("host-access", subject, file, one.line, OPEN, text, one.danger.instead)
    if not dangerous:
        yield Answer("host-access", subject, file, workload.line, OK, "nothing of the kind")


def read_only(workload: Workload, hardened: Unit | None) -> Answer:
    """Return whether the file systems of a workload's containers are read-only."""
    writable = [
        one.name
        for one in workload.containers
        if table(one.values.get("securityContext")).get("readOnlyRootFilesystem") != "true"
    ]
    place = (workload.title, str(workload.path), workload.line)
    if not writable:
        return Answer("read-only", *place, OK, "readOnlyRootFilesystem: true")
    is_written = hardened is not None and "readOnlyRootFilesystem" in hardened.text.partition(";")[0]
    text = f"container {', '.join(writable)}: its file system can be written"
    return Answer("read-only", *place, OPEN, text, FIX if is_written else BY_HAND)


def way_out(rows: Sequence[Violation], hardened: Unit | None) -> str:
    """Return what to do about some fields: what harden writes, else by hand; for which containers it is left out."""
    written = hardened.text.partition(";")[0] if hardened is not None else ""
    if hardened is None or not all(one.field.partition(".")[0] in written for one in rows):
        return BY_HAND
    left = [text for text in hardened.left_out.split("; ") if text.startswith("container ")]
    names = {one.container for one in rows}
    mine = [text for text in left if text.partition(":")[0].removeprefix("container ") in names]
    return f"{FIX}, but not for {'; '.join(mine)}" if mine else FIX
