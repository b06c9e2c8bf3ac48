"""How a repository wants its commits and pull requests: read from its history and its own files, never guessed at.

A habit counts where most of the newest commits have it; anything else gets a plain English subject.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# https://www.conventionalcommits.org/en/v1.0.0/#specification
CONVENTIONAL = re.compile(r"^(?P<type>[a-z]+)(?:\((?P<scope>[^()\s]+)\))?!?: \S")
TYPES = frozenset(("build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test"))
# https://gitmoji.dev: :lock: is "Fix security or privacy issues".
GITMOJI = re.compile(r"^(?::[a-z0-9_]+:|[\U0001F300-\U0001FAFF\u2600-\u27BF]\ufe0f?)\s*\S")
# Go's and the kernel's: the part of the project, then what changes there.
COMPONENT = re.compile(r"^[a-z0-9][\w./,-]*: [a-z]")
BOTS = re.compile(r"^(?:Merge |Revert |Bump |chore\(deps|build\(deps|Update dependency|v?\d+\.\d+)")
SIGNED = re.compile(r"^Signed-off-by: .+ <.+>\s*$", re.MULTILINE)
ASKS_SIGN_OFF = re.compile(
    r"signed-off-by|developer(?:'s)? certificate of origin|\bDCO\b|git commit (?:-s|--signoff)", re.IGNORECASE
)
FEW = 5
"""Fewer commits than this are no habit."""
MOST = 0.6

# https://probot.github.io/apps/dco/ and the places where people say what they expect.
DCO_FILES = (".github/dco.yml", "dco.yml", "DCO", "DCO.txt", ".github/DCO.md")
CONTRIBUTING = tuple(
    f"{folder}{name}" for folder in ("", ".github/", "docs/") for name in ("CONTRIBUTING.md", "CONTRIBUTING.rst")
)
# https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests
# https://docs.gitlab.com/user/project/description_templates/  https://forgejo.org/docs/latest/user/issue-pull-request-templates/
TEMPLATES = (
    *(
        f"{folder}{name}"
        for folder in (".github/", "", "docs/", ".gitea/", ".forgejo/")
        for name in ("pull_request_template.md", "PULL_REQUEST_TEMPLATE.md", "Pull_request_template.md")
    ),
    ".gitlab/merge_request_templates/Default.md",
    ".gitlab/merge_request_templates/default.md",
)
# In the order in which each forge looks, GitHub's first.
OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS", ".gitea/CODEOWNERS")
FILES = (*DCO_FILES, *CONTRIBUTING, *TEMPLATES, *OWNERS)
"""Everything that is read here, so that whoever fetches a repository knows what to bring."""


class Conventions(NamedTuple):
    """What a repository wants: ``style`` is ``conventional``, ``gitmoji``, ``component`` or ``plain``.

    ``scope`` is that of a conventional commit, ``""`` where the history has none for containers.  ``lower`` is whether
    subjects begin with a small letter.  ``template`` and ``owners`` are the texts of those files.
    """

    style: str = "plain"
    scope: str = ""
    lower: bool = False
    sign_off: bool = False
    template: str = ""
    owners: str = ""


def conventions(read: Callable[[str], str], messages: Sequence[str]) -> Conventions:
    """Return the conventions of a repository: ``read`` returns the text of a file, ``""`` where it is not there.

    ``messages`` are the newest commit messages.
    """
    style, scope, lower = style_of(messages)
    signed = [message for message in messages if not BOTS.match(message)]
    by_habit = len(signed) >= FEW and share(signed, SIGNED.search) >= MOST
    asked = any(read(name) for name in DCO_FILES) or any(ASKS_SIGN_OFF.search(read(name)) for name in CONTRIBUTING)
    return Conventions(style, scope, lower, asked or by_habit, first(read, TEMPLATES), first(read, OWNERS))


def style_of(messages: Iterable[str]) -> tuple[str, str, bool]:
    """Return style, scope and case of the subjects that people wrote."""
    subjects = [message.partition("\n")[0].strip() for message in messages]
    subjects = [subject for subject in subjects if subject and not BOTS.match(subject)]
    if len(subjects) < FEW:
        return "plain", "", False
    typed = [found for found in map(CONVENTIONAL.match, subjects) if found is not None and found["type"] in TYPES]
    if len(typed) >= MOST * len(subjects):
        scopes = [found["scope"] or "" for found in typed]
        scope = next((name for name in ("docker", "dockerfile", "container") if name in scopes), "")
        words = [subject.partition(": ")[2] for subject in subjects if ": " in subject]
        return "conventional", scope, share(words, str.islower, first=True) >= MOST
    if share(subjects, GITMOJI.match) >= MOST:
        return "gitmoji", "", False
    if share(subjects, COMPONENT.match) >= MOST:
        return "component", "", True
    return "plain", "", share(subjects, str.islower, first=True) >= MOST


def share(texts: Sequence[str], is_so: Callable[[str], object], *, first: bool = False) -> float:
    """Return what part of the texts (or of their first letters) is so, 0 of none."""
    return sum(bool(is_so(text[:1] if first else text)) for text in texts) / len(texts) if texts else 0.0


def first(read: Callable[[str], str], names: Iterable[str]) -> str:
    """Return the text of the first of these files that is there."""
    return next((text for text in map(read, names) if text.strip()), "")
