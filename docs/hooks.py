"""Hooks of MkDocs: pages that are made when the site is built, and links that lead out of ``docs/``.

The reference is made anew at each build, so it never lags behind the code.  A link to a file of the repository (on a
forge it works as it stands) becomes one to the repository's address; one to a file that is not there stays as it is,
and ``mkdocs build --strict`` fails on it.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))

import playground_files
import reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages of files that forges look for at the top of the repository.
COPIES = {"security.md": "SECURITY.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that ``nav`` does not name at the end of its chapter *Explained*: a new page needs no second place."""
    chapter = next(one["Explained"] for one in config.nav or () if "Explained" in one)
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    chapter += [page.name for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in named]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {name: (ROOT / source).read_text(encoding="utf-8") for name, source in COPIES.items()}
    for name, text in {**made, **reference.pages()}.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "assets/packages.zip", content=playground_files.packages()))
    files.append(File.generated(config, "assets/examples.json", content=playground_files.examples()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose links to files outside of ``docs/`` lead to the repository."""
    place = page.file.src_uri
    folder = "." if place in COPIES else posixpath.dirname(f"docs/{place}")

    def resolved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match["path"]))
        anchor = match["anchor"] or ""
        copy = next((name for name, source in COPIES.items() if source == target), None)
        inside = copy or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if inside is not None and files.get_file_from_path(inside) is not None:
            return f"]({posixpath.relpath(inside, posixpath.dirname(place) or '.')}{anchor})"
        if (ROOT / target).exists():
            kind = "tree" if (ROOT / target).is_dir() else "blob"
            return f"]({config.extra['repository']}/{kind}/main/{target}{anchor})"
        return match[0]

    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else LINK.sub(resolved, part) for at, part in enumerate(parts))
