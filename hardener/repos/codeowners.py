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


def rules(folder: Path) -> list[tuple[str, str]]:
    """Return pattern and first owner of each line of the first CODEOWNERS file that a repository has."""
    data = next((data for place in PLACES if (data := content(folder / place))), b"")
    found = []
    for line in data.decode("utf-8", "replace").splitlines()[:MOST_RULES]:
        words = line.split("#")[0].split()
        if len(words) > 1 and not words[0].startswith(("[", "^[")):
            found.append((words[0], words[1].lstrip("@")))
    return found


def team_of(folder: Path, paths: Iterable[str]) -> str:
    """Return the owner of most of the files, ``""`` where nobody is named."""
    found = rules(folder)
    if not found:
        return ""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  few repositories have the file

    specs = [(GitIgnoreSpec.from_lines([pattern]), owner) for pattern, owner in reversed(found)]
    owners = Counter(
        owner for path in paths if (owner := next((name for spec, name in specs if spec.match_file(path)), ""))
    )
    return owners.most_common(1)[0][0] if owners else ""
