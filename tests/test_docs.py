"""The documents say what the program does, and nothing that only exists on one machine."""

from __future__ import annotations

import importlib.util
import re

import pytest
from click.testing import CliRunner
from conftest import ROOT

from hardener import harden, open_project
from hardener.cli import COMMANDS, command, main
from hardener.fixers import FIXERS
from hardener.settings import Settings

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = ROOT / "CHANGELOG.md"


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_their_generator_writes() -> None:
    """Every diff that a page shows is what the command prints today."""
    module = generator()
    pages = module.pages()
    assert {ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "tutorial.md"} <= set(pages)
    assert {page.stem for page in (ROOT / "docs" / "howto").glob("*.md")} <= {page.stem for page in pages}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert module.generated(text) == text, f"{page.relative_to(ROOT)}: run python docs/generate.py"


def test_the_demo_is_hardened_where_it_lies_too() -> None:
    """The README's command reads it as a part of this repository, with all the fixtures around it."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nothing tells where the repository begins")
    demo = ROOT / "fixtures" / "projects" / "flask" / "before" / "Dockerfile"
    alone, here = harden(open_project(demo, demo.parent)), harden(open_project(demo, ROOT))
    folder = demo.parent.relative_to(ROOT)
    assert {path.relative_to(folder): pair for path, pair in here.changed.items()} == alone.changed


def test_the_map_of_the_modules_is_what_its_generator_writes() -> None:
    assert generator().module_map() == (ROOT / "docs" / "modules.md").read_text(encoding="utf-8")


def test_the_page_of_what_is_left_alone_is_what_its_generator_writes() -> None:
    module = generator()
    if not hasattr(module, "left_alone"):
        pytest.skip("the generator writes the README only")
    assert module.left_alone() == (ROOT / "docs" / "left-alone.md").read_text(encoding="utf-8")


def test_the_picture_is_what_its_generator_draws() -> None:
    assert generator().picture() == (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("fixer", FIXERS, ids=lambda fixer: fixer.__name__)
def test_every_fixer_has_its_row_in_the_table(fixer) -> None:
    page = (ROOT / "docs" / "fixers.md").read_text(encoding="utf-8")
    table = page.partition("<!-- fixers: begin -->")[2].partition("<!-- fixers: end -->")[0]
    rows = [line for line in table.splitlines() if line.startswith(f"| `{fixer.__name__}` |")]
    assert len(rows) == 1
    assert all(len(cell.strip()) > 10 for cell in rows[0].strip("|").split("|"))
    assert not re.search(r"\b(Safety|References):", rows[0])


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_option_has_its_line_in_the_help(name) -> None:
    text = CliRunner().invoke(main, [*([name] if name else []), "--help"]).stdout
    for parameter in (command(name) if name else main).params:
        for option in [*parameter.opts, *parameter.secondary_opts]:
            if option.startswith("-"):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name


def test_every_setting_stands_in_the_page_of_the_configuration() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for field in Settings._fields:
        if field != "inspect":  # of the command line only
            assert re.search(rf"\b{field.replace('_', '-')}\b", page), field


def test_every_setting_has_an_option_of_the_same_meaning() -> None:
    # A table is no option, and whether a repository wants pull requests is said in the repository alone.
    names = {parameter.name for parameter in main.params} | {"images", "dockerfiles", "pull_requests"}
    assert set(Settings._fields) <= names


def test_the_commands_of_the_readme_are_those_that_the_pipeline_runs() -> None:
    commands = re.findall(r"```sh\n(python3 -m venv [^\n]+)\n```", README)
    assert len(commands) == 2
    assert commands[1].endswith(".venv/bin/python -m pytest")
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\npython -m pytest\n" in steps
    assert "install --quiet -e '.[test,docs]'" in steps
    assert "-e '.[test,docs]'" in commands[1]
    assert " ".join(("harden", "fixtures/projects/flask/before", "--diff")) in commands[0]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_uses_options_that_exist(page) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^(?:\S*/)?harden (.*)$", "\n".join(blocks), re.MULTILINE):
        if re.match(r"repos (?:status|report)\b", line):
            continue  # they have options of their own
        name = line.split()[0]
        parameters = (command(name) if name in COMMANDS else main).params
        known = {option for parameter in parameters for option in parameter.opts}
        for option in re.findall(r"(?<!\S)--[\w-]+", line.partition("#")[0]):
            assert option in known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_to_a_file_leads_somewhere(page) -> None:
    """As the page stands in the repository; only on the site is there a reference, see tests/test_site.py."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target and not re.match(r"(\.\./)?reference/", target):
            assert (page.parent / target).exists(), target


def test_the_changelog_follows_keep_a_changelog() -> None:
    if not CHANGELOG.exists():
        pytest.skip("no CHANGELOG.md yet")
    text = CHANGELOG.read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings
    for heading in headings:
        assert re.fullmatch(r"\[Unreleased\]|Unreleased|\[?\d+\.\d+\.\d+\]? - \d{4}-\d{2}-\d{2}", heading), heading
    dates = [heading.rpartition(" - ")[2] for heading in headings if " - " in heading]
    assert dates == sorted(dates, reverse=True)
    groups = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= groups


@pytest.mark.parametrize("folder", ["hardener", "tests", "docs", "fixtures", ".ci", "benchmarks"])
def test_nothing_names_a_path_of_one_machine(folder) -> None:
    private = [b"/" + b"work/", b"/root/" + b"corpus", b"/root/" + b"notes", b"/root/" + b"venv"]
    for file in sorted((ROOT / folder).rglob("*")):
        if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts and file.suffix != ".pyc":
            data = file.read_bytes()
            assert not [mark for mark in private if mark in data], file.relative_to(ROOT)
