"""One answer of the checklist, and the questions."""

from __future__ import annotations

from typing import NamedTuple

# Identifier and question, in the order in which they are answered.
QUESTIONS = {
    "root": "Does it run as another user than root?",
    "ports": "Are its ports 1024 or above?",
    "capabilities": "Are all capabilities dropped but those that it needs?",
    "read-only": "Is its file system read-only?",
    "no-new-privileges": "Can nothing make it root again?",
    "host-access": "Is it without privileged, dangerous capabilities, the engine's socket and the host's namespaces?",
    "confinement": "Are seccomp, AppArmor and SELinux on?",
    "scan": "Is the image scanned in CI?",
}
OK, OPEN, UNKNOWN = "ok", "open", "unknown"


class Answer(NamedTuple):
    """The answer to one question for one image, service, workload or the project.

    ``file`` and ``line`` (1-based) are where it stands, relative to the project; ``state`` is ok, open or unknown;
    ``text`` says what is there, ``way_out`` what to do.
    """

    question: str
    subject: str
    file: str
    line: int
    state: str
    text: str
    way_out: str = ""

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"
