"""Who owns a file of a repository, by its CODEOWNERS: the team for the report.

https://docs.github.com/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
and https://docs.gitlab.com/user/project/codeowners/: patterns as of ``.gitignore``, the last that fits counts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hardener.small_files import content

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
MOST_RULES = 2000


def rules(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return the rules of the first CODEOWNERS file that a repository has."""
    data = next((data for place in PLACES if (data := content(folder / place))), b"")
    return rules_in(data.decode("utf-8", "replace"))


def rules_in(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return pattern and owners of each line of a CODEOWNERS file; the headings of GitLab's sections are no rules."""
    found = []
    for line in text.splitlines()[:MOST_RULES]:
        words = line.split("#")[0].split()
        if words and not words[0].startswith(("[", "^[")):
            found.append((words[0], tuple(words[1:])))
    return found


def owners_of(paths: Iterable[str], found: list[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Return the owners of each path, ``()`` where nobody is named."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  few repositories have the file

    specs = [(GitIgnoreSpec.from_lines([pattern]), owners) for pattern, owners in reversed(found)]
    return {path: next((owners for spec, owners in specs if spec.match_file(path)), ()) for path in paths}


def team_of(folder: Path, paths: Iterable[str]) -> str:
    """Return the owner of most of the files, ``""`` where nobody is named."""
    found = rules(folder)
    if not found:
        return ""
    owners = Counter(owners[0].lstrip("@") for owners in owners_of(paths, found).values() if owners)
    return owners.most_common(1)[0][0] if owners else ""
