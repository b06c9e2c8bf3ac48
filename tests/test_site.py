"""The documentation's site: built strictly, with no link that leads nowhere and nothing that is fetched from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import tomli
from conftest import ROOT, needed

from hardener.cli import COMMANDS
from hardener.fixers import FIXER_NAMES

needed("mkdocs", "material", "mkdocstrings")


class Links(HTMLParser):
    """The ids, links and loaded files of one page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("script", "img", "iframe") and "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "preconnect", "icon"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {page.relative_to(site): Links(page) for page in sorted(site.rglob("*.html"))}


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    """Also to anchors, and to files of this repository; other addresses are checked by their shape: tests have no network."""
    for place, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                assert re.fullmatch(r"[\w-]+(\.[\w-]+)+|localhost|127\.0\.0\.1", parts.hostname or ""), (place, link)
                assert " " not in link, (place, link)
                own = re.fullmatch(r"/hardener/hardener/(?:blob|tree)/main/(.+)", parts.path)
                if parts.hostname == "github.com" and own:
                    assert (ROOT / unquote(own[1])).exists(), (place, link)
                continue
            assert not parts.scheme, (place, link)
            if place.name == "404.html":
                continue  # its links start at the address of the published site
            target = site / place.parent / unquote(parts.path) if parts.path else site / place
            target = Path(os.path.normpath(target))
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (place, link)
            if parts.fragment and target.suffix == ".html":
                ids = pages[target.relative_to(site)].ids
                assert unquote(parts.fragment) in ids | {"__skip", "__codelineno-0-1"}, (place, link)


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Links]) -> None:
    for place, page in pages.items():
        for address in page.loaded:
            assert not urlsplit(address).netloc, (place, address)


def test_the_playground_has_every_dependency(site: Path) -> None:
    """From this site, from Pyodide's distribution, or as a grammar that the worker makes a module of."""
    requirements = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    worker = (site / "assets" / "playground_worker.js").read_text(encoding="utf-8")
    with zipfile.ZipFile(site / "assets" / "packages.zip") as archive:
        packed = {name.partition("/")[0] for name in archive.namelist()}
        own = {name for name in archive.namelist() if name.startswith("hardener/")}
    for requirement in requirements:
        name = re.split(r"[>=<;\[]", requirement)[0].strip()
        module = name.replace("-", "_")
        assert module in packed or f'"{name}"' in worker or f'grammar("{module}"' in worker, name
    files = (path for path in (ROOT / "hardener").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert own == {path.relative_to(ROOT).as_posix() for path in files}
    projects = json.loads((site / "assets" / "examples.json").read_text(encoding="utf-8"))
    assert all(any(name.endswith("Dockerfile") for name in files) for files in projects.values())


def test_the_reference_has_every_command_fixer_and_image(site: Path, pages: dict[Path, Links]) -> None:
    commands = (site / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"harden {name}" in commands
    assert "--keep-root-entrypoint" in commands
    assert set(FIXER_NAMES) <= pages[Path("reference/fixers/index.html")].ids
    assert "hardener.pipeline.harden" in pages[Path("reference/python/index.html")].ids
    images = (site / "reference" / "images" / "index.html").read_text(encoding="utf-8")
    assert "<code>eclipse-temurin</code>" in images
    assert len(re.findall("<tr>", images)) > 150
