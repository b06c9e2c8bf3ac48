"""The rules that reports name: fixers and questions by their docstrings, what reasons prevent by ``reasons.toml``."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tomli

from hardener.decision import LATER_QUESTIONS
from hardener.fixers import FIXERS
from hardener.reasons import QUESTIONS
from hardener.reports.model import DANGER, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Callable

HEADINGS = re.compile(r" (Why|Safety|References): ")
REASON_SAFETY = "Nothing of the image changes; the answer names the line and what a person can do."


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
    source: str = ""
    way_out: str = ""


RUNS_AS_ROOT = Rule(
    SWITCHED,
    "image",
    "The image runs as root, and can run as another user.",
    "a process that is root in the container is root for every mistake of the kernel, the engine and the mounts.",
    "the changes of an image only work together, and are checked together before anybody sees them.",
    "CIS Docker 4.1, https://docs.docker.com/build/building/best-practices/#user",
    "A comment `# harden: ignore` at the top of the Dockerfile keeps root, and says so to others.",
)
DEPLOYMENT = (
    Rule(
        "compose_privileges",
        "service",
        "Give Compose services user, read_only with tmpfs, cap_drop, cap_add and no-new-privileges.",
        "an image's USER binds nobody who starts it otherwise, and without these options every setuid program and "
        "every writable file of the image is within reach.",
        "each option only where the image is known to work under it, on a used volume too; what is not known stays out "
        "and is told. Only the keys of that service are written; the rest of the file keeps its bytes.",
        "https://docs.docker.com/reference/compose-file/services/, CIS Docker 5.3, 5.12, 5.25",
    ),
    Rule(
        "kubernetes_privileges",
        "service",
        "Give the pods of Kubernetes manifests the security contexts that their images allow.",
        "Pod Security's restricted refuses pods that may be root, may gain privileges or keep capabilities.",
        "only for images that are switched, already non-root, or known; a read-only root file system only where every "
        "written path is known. Helm templates and patches are not touched.",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    Rule(
        DANGER,
        "danger",
        "A service or pod has rights over its host: privileged, the engine's socket, host namespaces and the like.",
        "who breaks into it has the host, whatever user it runs as.",
        "it is told with what is narrower, and never taken away: it may be what the service is for.",
        "https://docs.docker.com/engine/security/, docs/run-time.md",
        "The line that names it says in brackets what is narrower.",
    ),
)


@lru_cache(maxsize=1)
def rules() -> dict[str, Rule]:
    """Return every rule by its name: fixers in the order in which they run, then reasons as they are asked."""
    prevented = tomli.loads(Path(__file__).with_name("reasons.toml").read_text(encoding="utf-8"))
    found = [RUNS_AS_ROOT, *map(fixer_rule, FIXERS), *(one._replace(way_out=ignored(one)) for one in DEPLOYMENT)]
    for question in (*QUESTIONS, *LATER_QUESTIONS):
        what, _ = docstring(question)
        row = prevented[question.__name__]
        way_out = "The line that names it in the output of harden says what to do, in brackets."
        found.append(Rule(question.__name__, "reason", what, row["why"], REASON_SAFETY, row["source"], way_out))
    return {one.name: one for one in found}


def fixer_rule(fixer: Callable[..., object]) -> Rule:
    """Return the rule that a fixer's docstring explains."""
    what, parts = docstring(fixer)
    rule = Rule(fixer.__name__, "fixer", what, parts["Why"], parts["Safety"], parts["References"])
    return rule._replace(way_out=ignored(rule))


def ignored(rule: Rule) -> str:
    """Return how a rule is switched off; a danger has its own way out."""
    where = "above the service or at the top" if rule.kind == "service" else "above the line or at the top"
    option = rule.name.replace("_", "-")
    return rule.way_out or f"--ignore {option}, or a comment `# harden: ignore={rule.name}` {where}."


def docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Return what a docstring says before its headings, and what it says under each of them."""
    text = re.sub(r"\s+", " ", function.__doc__ or "").strip().replace("``", "`")
    what, *rest = HEADINGS.split(text)
    return what, dict(zip(rest[::2], rest[1::2], strict=True))
