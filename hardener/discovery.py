"""Finds the Dockerfiles below a folder; what Git ignores is left out."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hardener.lazy_pattern import lazy_pattern
from hardener.small_files import content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pathspec import GitIgnoreSpec

# Dockerfile, Containerfile, Dockerfile.prod, web.Dockerfile, in any case: what `docker build -f` users write.
FILE_NAME = lazy_pattern(r"^(?:.*\.)?(?:dockerfile|containerfile)(?:\..+)?$", re.IGNORECASE)
# The same name with one of these endings is about a Dockerfile, not one: an ignore list, a template, a backup.
OTHER_ENDINGS = (
    ".dockerignore", ".j2", ".jinja", ".jinja2", ".erb", ".tmpl", ".tpl", ".template", ".mustache", ".in", ".bak",
    ".orig", ".rej", ".swp", "~", ".md", ".py", ".sh", ".go", ".js", ".ts", ".json", ".yml", ".yaml",
)  # fmt: skip


# Dockerfiles that nobody ships: what tests build, what shows how, what others wrote.  A pull request that changes them
# looks as if its sender did not (google/runq#23: "makes no sense, source looks suspicious").
ASIDE = lazy_pattern(
    r"(?:^|/)(?:tests?|testing|testdata|fixtures?|__tests__|specs?|mocks?|examples?|samples?|demos?|tutorials?"
    r"|vendor|third[-_]party|node_modules)/",
    re.IGNORECASE,
)


def is_aside(path: str) -> bool:
    """Whether a path (/-separated, relative to the repository) is of a test, an example or somebody else's code."""
    return ASIDE.search(path) is not None


def is_dockerfile_name(name: str) -> bool:
    """Whether a file of this name is taken for a Dockerfile."""
    return FILE_NAME.match(name) is not None and not name.lower().endswith(OTHER_ENDINGS)


def find_dockerfiles(folder: Path) -> Iterator[Path]:
    """Yield every Dockerfile at or below ``folder``, sorted, without ``.git`` and without what Git ignores.

    Symbolic links to folders are not followed, so a loop cannot hang the search.
    """
    rules = {folder: inherited_rules(folder)}
    for top, folders, names in os.walk(folder):
        here = Path(top)
        active = rules.pop(here)
        if ".gitignore" in names:
            active = [*active, *read_rules(here, here / ".gitignore")]
        if active:
            folders[:] = [name for name in folders if not is_ignored(here / name, active, directory=True)]
        folders[:] = sorted(name for name in folders if name != ".git")
        rules |= {here / name: active for name in folders}
        for name in sorted(names):
            if is_dockerfile_name(name) and not is_ignored(here / name, active, directory=False):
                yield here / name


def kept_below(root: Path, folder: Path, paths: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    """Return those of ``paths`` (relative to ``root``) that lie at or below ``folder`` and that Git does not ignore."""
    below = PurePosixPath(os.path.relpath(folder, root))
    return tuple(path for path in paths if path.is_relative_to(below) and not ignored_below(root, root / path))


def ignored_below(root: Path, file: Path) -> bool:
    """Whether Git ignores a file somewhere below ``root``, or one of its folders."""
    rules = inherited_rules(root)
    here = root
    parts = file.relative_to(root).parts
    for position, name in enumerate(parts):
        if (here / ".gitignore").is_file():
            rules = [*rules, *read_rules(here, here / ".gitignore")]
        here = here / name
        if is_ignored(here, rules, directory=position < len(parts) - 1):
            return True
    return False


def inherited_rules(folder: Path) -> list[tuple[Path, GitIgnoreSpec]]:
    """Return the ignore rules of the folders above, up to the one that holds ``.git``, outermost first."""
    found: list[tuple[Path, GitIgnoreSpec]] = []
    for parent in (folder, *folder.parents):
        if parent != folder:
            found = [*read_rules(parent, parent / ".gitignore"), *found]
        if os.path.exists(parent / ".git"):  # noqa: PTH110  Path.exists raises where the folder is closed
            return [*read_rules(parent, parent / ".git" / "info" / "exclude"), *found]
    return []


def read_rules(base: Path, file: Path) -> list[tuple[Path, GitIgnoreSpec]]:
    """Return the rules of one ignore file with the folder they are relative to; none where it cannot be read.

    Git too follows no link there, since 2.32.
    """
    text = content(file).decode("utf-8", "surrogateescape")
    if not text:
        return []
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  only folders with an ignore file pay for it

    lines = text.splitlines()
    try:
        return [(base, GitIgnoreSpec.from_lines(lines))]
    except (ValueError, re.error):  # a pattern that Git itself would pass over
        return [(base, GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line)))]


def is_pattern(line: str) -> bool:
    """Whether pathspec understands one line of an ignore file."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  see `read_rules`

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True


def is_ignored(path: Path, rules: list[tuple[Path, GitIgnoreSpec]], *, directory: bool) -> bool:
    """Whether the innermost rule that speaks of ``path`` ignores it."""
    for base, spec in reversed(rules):
        relative = path.relative_to(base).as_posix() + ("/" if directory else "")
        answer = spec.check_file(relative).include
        if answer is not None:
            return answer
    return False
