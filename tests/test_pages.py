"""The pages: nothing of a file is lost or runs in them, reasons stand at their lines, boxes do not cover each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from conftest import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from hardener.bulk import harden_paths
from hardener.cli import main
from hardener.graph import svg
from hardener.graph.command import drawn
from hardener.graph.layout import layout
from hardener.reports.as_html import render, split
from hardener.reports.model import file_report
from hardener.reports.side_by_side import rows

VOID = {"meta", "col", "br", "link", "input"}
CASES = sorted({*list(FIXTURES.glob("*/*/before"))[::25], *list(FIXTURES.glob("*_privileges/*/before"))[::3]})
LINES = st.lists(st.sampled_from(["", "COPY . .", "COPY --chown=1:1 . .", "EXPOSE 80", "EXPOSE 8080", "<b>", "x\ty"]))


class Reader(HTMLParser):
    """Reads a page: every tag is closed, nothing is loaded; keeps the lines of each table by side, and the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[dict[int, list[str]]] = []
        self.side = self.number = 0
        self.inside = False
        self.rows: list[str] = []

    def handle_starttag(self, tag, attributes) -> None:
        values = dict(attributes)
        assert not {"src", "srcset", "action", "data"} & values.keys()
        assert not any(name.startswith("on") for name in values)
        assert tag not in ("link", "iframe", "object", "embed", "img", "form", "base")
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append({0: [], 1: []})
        elif tag == "tr":
            self.rows.append("")
            self.side = -1
        elif tag == "td" and values.get("class", "").split()[:1] == ["n"]:
            self.side += 1
            self.number = int(values.get("data-n", 0))
        elif tag == "td" and self.number:
            self.inside = True
            self.tables[-1][self.side].append("")
            assert len(self.tables[-1][self.side]) == self.number

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag
        if tag == "td" and self.inside:
            self.inside, self.number = False, 0

    def handle_data(self, data) -> None:
        if self.rows:
            self.rows[-1] += data
        if self.inside:
            self.tables[-1][self.side][-1] += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture
def copy(tmp_path: Path):
    def made(folder: Path) -> Path:
        shutil.copytree(folder, tmp_path / "copy", symlinks=True)
        return tmp_path / "copy"

    return made


@given(LINES, LINES)
def test_both_texts_are_whole_beside_each_other(before, after) -> None:
    found = list(rows(before, after))
    for side, lines in (("before", before), ("after", after)):
        halves = [getattr(row, side) for row in found if getattr(row, side) is not None]
        assert ["".join(text for text, _ in half.pieces) for half in halves] == lines
        assert [half.number for half in halves] == list(range(1, len(lines) + 1))
    for row in found:
        assert row.changed or row.before.pieces == row.after.pieces


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.parent.name}-{folder.parent.name}")
def test_a_page_has_every_line_of_every_file_and_a_picture_has_no_box_over_another(folder, copy) -> None:
    found = list(harden_paths([copy(folder)]))
    files = [file_report(one) for one in found]
    reader = read(render(files))
    expected = []
    for file in files:
        changes = [(split(one.before), split(one.after)) for one in file.changed]
        if file.path not in [one.path for one in file.changed] and (file.images or file.services):
            changes.insert(0, (split(file.source), []))
        expected += changes
    assert [(table[0], table[1]) for table in reader.tables] == expected
    hardened = [one for one in found if hasattr(one, "result")]
    pictures = drawn(hardened)
    ElementTree.fromstring(svg.standalone(pictures))
    for picture in pictures:
        placed = layout(picture)
        for one, other in combinations(placed.boxes, 2):
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
        assert all(box.x >= 0 and box.x + box.width <= placed.width for box in placed.boxes)
        assert all(box.y >= 0 and box.y + box.height <= placed.height + 0.01 for box in placed.boxes)
        assert all(line.start[0] < line.stop[0] for line in placed.lines)


def test_reasons_stand_below_their_lines(copy, monkeypatch) -> None:
    monkeypatch.chdir(copy(FIXTURES / "projects/flask/before"))
    done = CliRunner().invoke(main, [".", "--format", "html"], prog_name="harden")
    told = read(done.stdout).rows
    for line, rule in (
        ("USER 5000:5000", "run_as_user"),
        ("COPY . .COPY --chown=5000:5000 . .", "own_copied"),
        ("    docker run -p 80:80 guestbook    docker run -p 80:8080 guestbook", "move_port"),
    ):
        assert told[told.index(line) + 1].startswith(f"{rule} ")
    assert 'href="#rule-run_as_user"' in done.stdout
    assert 'id="rule-run_as_user"' in done.stdout


HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


@pytest.mark.parametrize("command", [("--format", "html", "."), ("graph", "--format", "html", "."), ("graph", ".")])
def test_nothing_of_a_file_runs_in_a_page(command, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    text = f"FROM python:3.12 AS a\nLABEL x='{HOSTILE}'\nCOPY {HOSTILE.split()[0]} /{HOSTILE.split()[0]}\x08\nCMD [\"python\"]\n"
    (folder / "Dockerfile").write_text(text)
    (folder / "compose.yml").write_text(
        f"services:\n  '{HOSTILE[:20]}':\n    image: \"x{HOSTILE[8:20]}\"\n    privileged: true\n"
    )
    page = CliRunner().invoke(main, command, prog_name="harden").stdout
    assert "<img" not in page
    assert page.count("<script>") == ("html" in command)
    if "html" in command:
        read(page)
    else:
        ElementTree.fromstring(page)


FOUR = """FROM node:20-slim AS assets
WORKDIR /web
COPY web/ .
FROM python:3.12-slim AS deps
COPY requirements.txt .
FROM python:3.12-slim AS app
WORKDIR /app
COPY --from=deps /install /usr/local
COPY --from=assets /web/dist ./static
COPY --from=busybox:1.36 /bin/wget /usr/local/bin/wget
COPY app.py .
VOLUME /data
EXPOSE 80
CMD ["gunicorn", "-b", ":80", "app:app"]
FROM deps AS worker
WORKDIR /app
COPY app.py .
CMD ["python", "app.py"]
"""


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text(FOUR)
    (tmp_path / "app.py").write_text("app = None\n")
    (tmp_path / "compose.yml").write_text(
        "services:\n  web:\n    build: {context: ., target: app}\n    ports: ['80:80']\n"
        "  db:\n    image: postgres:16\n  agent:\n    image: x/agent\n    privileged: true\n"
    )
    return tmp_path


def test_a_picture_shows_stages_users_owners_and_ports_before_and_after(four) -> None:
    first, others = drawn(list(harden_paths([Path()])))
    boxes = {box.title: box for box in first.boxes}
    assert [box.title for box in first.boxes if box.kind == "stage"] == ["assets", "deps", "app", "worker"]
    rows_of = {row.label: (row.before, row.after) for row in boxes["app"].rows}
    assert rows_of["user"] == ("root", "5000:5000")
    assert rows_of["ports"] == ("80", "8080")
    assert rows_of["/usr/local"] == ("root", "root")
    assert rows_of["/app"] == ("root", "5000:5000")
    assert rows_of["/data"] == ("root", "5000:5000")
    assert rows_of["volumes"] == ("/data", "/data")
    assert (boxes["app"].outcome, boxes["deps"].outcome) == ("switched", "")
    assert {row.label: row.after for row in boxes["deps"].rows}["user"] == "root"
    assert {(one.source, one.target, one.kind) for one in first.arrows} >= {
        ("base-node:20-slim", "stage-0", "from"),
        ("stage-1", "stage-2", "copy"),
        ("stage-0", "stage-2", "copy"),
        ("base-busybox:1.36", "stage-2", "copy"),
        ("stage-1", "stage-3", "from"),
        ("stage-2", "compose.yml: service web", "start"),
    }
    service = {row.label: (row.before, row.after) for row in boxes["web"].rows}
    assert service["user"] == ("root", "5000:5000")
    assert service["ports"] == ("80:80", "80:8080")
    assert {box.title: box.outcome for box in others.boxes} == {"db": "hardened", "agent": "danger"}


def run(*arguments: str):
    result = CliRunner().invoke(main, ["graph", *arguments], prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_picture_is_written_as_its_file_ends(four) -> None:
    before = {path: path.read_bytes() for path in four.iterdir() if path.is_file()}
    assert run(".", "--output", "out.html").exit_code == 0
    assert run(".", "--output", "out.svg").exit_code == 0
    assert run(".").stdout == (four / "out.svg").read_text()
    page = (four / "out.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "The same as a table" in page
    read(page)
    ElementTree.fromstring((four / "out.svg").read_text())
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_file_that_cannot_be_drawn_is_one_line_and_the_others_are_drawn(four) -> None:
    (four / "b").mkdir()
    (four / "b/Dockerfile").write_text("RUM x\n")
    result = run(".")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: b/Dockerfile:1: ")
    assert "worker" in result.stdout
    (four / "empty").mkdir()
    result = run("empty")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_picture_of_a_compose_file_alone(four) -> None:
    root = ElementTree.fromstring(run("compose.yml").stdout)
    assert "postgres" not in ElementTree.tostring(root, "unicode")
    assert "agent" in ElementTree.tostring(root, "unicode")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_browser_runs_the_script_of_a_page(four) -> None:
    (four / "Dockerfile").write_text(
        "FROM python:3.12-slim\n" + "# far away\n" * 40 + 'COPY app.py .\nCMD ["python", "app.py"]\n'
    )
    CliRunner().invoke(main, [".", "--format", "html", "--output", "page.html"], prog_name="harden")
    page = (four / "page.html").read_text()
    assert '<tr class="fold" hidden>' in page
    keys = "for (const key of 'jjkj') dispatchEvent(new KeyboardEvent('keydown', {key}));"
    (four / "page.html").write_text(page.replace("</body>", f"<script>{keys}</script></body>"))
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={four / 'profile'}", "--dump-dom",
         (four / "page.html").as_uri()],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert re.search(r'<button id="theme" type="button">', done.stdout)
    assert re.search(r'<tr class="fold"><td colspan="4"><button', done.stdout)
    stops = re.findall(r'<tr[^>]* class="(stop[^"]*)"', done.stdout)
    assert [number for number, name in enumerate(stops) if name == "stop here"] == [1], stops
