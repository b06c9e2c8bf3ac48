"""The rules that reports name: the fixers and the questions, explained by their own docstrings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.decision import LATER_QUESTIONS
from hardener.fixers import FIXERS
from hardener.reasons import QUESTIONS
from hardener.reports.model import DANGER, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Callable

HEADINGS = re.compile(r" (Why|Safety|References): ")


class Rule(NamedTuple):
    """One rule.

    ``kind`` is ``image`` (what becomes of one), ``fixer``, ``service`` (what is done where images are started),
    ``danger`` or ``reason`` (against a switch).
    """

    name: str
    kind: str
    what: str
    why: str = ""
    safety: str = ""
    references: str = ""


DEPLOYMENT = (
    Rule(
        "compose_privileges",
        "service",
        "Give Compose services user, read_only with tmpfs, cap_drop, cap_add and no-new-privileges.",
        "An image's USER binds nobody who starts it otherwise, and a process that is not root keeps fourteen "
        "capabilities within reach of every setuid program.",
        "Each option only where the image is known to work under it, on a used volume too; what is not known stays out "
        "and is told. Only the keys of that service are written; the rest of the file keeps its bytes.",
        "https://docs.docker.com/reference/compose-file/services/, CIS Docker 5.3, 5.12, 5.25",
    ),
    Rule(
        "kubernetes_privileges",
        "service",
        "Give the pods of Kubernetes manifests the security contexts that their images allow.",
        "Pod Security's restricted refuses pods that may be root, may gain privileges or keep capabilities.",
        "Only for images that are switched, already non-root, or known. A read-only root file system only where every "
        "written path is known. Helm templates and patches are not touched.",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    Rule(
        DANGER,
        "danger",
        "A service or pod has rights over its host: privileged, the engine's socket, host namespaces and the like.",
        "Who breaks into it has the host, whatever user it runs as.",
        "It is told with what is narrower, and never taken away: it may be what the service is for.",
        "https://docs.docker.com/engine/security/, docs/run-time.md",
    ),
)


def rules() -> dict[str, Rule]:
    """Return every rule by its name: fixers in the order in which they run, then reasons as they are asked."""
    found = [
        Rule(
            SWITCHED,
            "image",
            "The image runs as root, and can run as another user.",
            "A process that is root in the container is root for every mistake of the kernel, the engine and the "
            "mounts.",
            "The changes of an image only work together, and are checked together before anybody sees them.",
            "CIS Docker 4.1, https://docs.docker.com/build/building/best-practices/#user",
        ),
        *(rule("fixer", fixer) for fixer in FIXERS),
        *DEPLOYMENT,
        *(rule("reason", question) for question in (*QUESTIONS, *LATER_QUESTIONS)),
    ]
    return {one.name: one for one in found}


def rule(kind: str, function: Callable[..., object]) -> Rule:
    """Return the rule that a function's docstring explains."""
    text = re.sub(r"\s+", " ", function.__doc__ or "").strip()
    what, *rest = HEADINGS.split(text)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    return Rule(
        function.__name__, kind, what, parts.get("Why", ""), parts.get("Safety", ""), parts.get("References", "")
    )
